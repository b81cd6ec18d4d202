//! The stylesheet and the icon. Their addresses hold a hash of their content, so browsers may keep them for ever.

use std::sync::LazyLock;

use actix_web::{HttpResponse, web};

use super::refusal::Refusal;
use crate::domain::signature::sha256_of;

const FOLDER: &str = "/assets/";

/// A file as it is served.
pub(super) struct Asset {
    content: &'static str,
    media_type: &'static str,
    /// Its address.
    pub address: String,
}

impl Asset {
    fn new(name: &str, extension: &str, content: &'static str) -> Self {
        let hash = hex::encode(&sha256_of(content.as_bytes())[..8]);
        Self {
            content,
            media_type: match extension {
                "css" => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            },
            address: format!("{FOLDER}{name}-{hash}.{extension}"),
        }
    }
}

/// How everything looks.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", include_str!("../../pages/console/console.css")));

/// What stands in the tab of the browser.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", include_str!("../../pages/console/icon.svg")));

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.route("/assets/{file}", web::get().to(asset));
}

/// Whether an address is one of an asset: these are no secrets, and the page where one logs in needs them.
pub(super) fn is_one(path: &str) -> bool {
    path.starts_with(FOLDER)
}

async fn asset(file: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let address = format!("{FOLDER}{file}");
    let mut all = [&*STYLE, &*ICON].into_iter();
    let asset = all
        .find(|asset| asset.address == address)
        .ok_or_else(Refusal::nothing_here)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.media_type)
        .insert_header(("Cache-Control", "public, max-age=31536000, immutable"))
        .body(asset.content))
}
