//! Realistic `data` for entity events (contract 7.3, "data by resource").

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::dates;
use super::locations::Location;

/// An invented entity. A resource nobody knows has only an id.
pub(super) fn sample(resource: &str, id: i64, status: &str, location: &Location, now: DateTime<Utc>) -> Value {
    let frame = Frame {
        id,
        status,
        location,
        now,
    };
    match resource {
        "record" => frame.appointment(),
        "client" => frame.client(),
        "staff" | "master" => frame.staff(),
        "service" => frame.service(),
        "service_category" => json!({
            "id": id, "salon_service_id": id + 1, "title": "Haircuts", "weight": 5,
            "api_id": "0", "staff": [2_800_001], "is_chain": false,
        }),
        "good" => frame.good(),
        "goods_operations_sale" => frame.goods_operation(1, "Product sale", -1),
        "goods_operations_receipt" => frame.goods_operation(3, "Product receipt", 10),
        "goods_operations_consumable" => frame.goods_operation(4, "Consumables", -2),
        "goods_operations_stolen" => frame.goods_operation(4, "Product write-off", -1),
        "goods_operations_move" => frame.goods_operation(0, "Product movement", -3),
        "finances_operation" => frame.finances(),
        "loyalty_card" => json!({
            "id": id, "balance": 150.5, "number": format!("{id:016}"), "phone": CLIENT_PHONE,
        }),
        "schedule" => json!([]),
        "salon" | "company" => frame.place(),
        _ => json!({"id": id}),
    }
}

const CLIENT_PHONE: &str = "+10000000009";

struct Frame<'a> {
    id: i64,
    status: &'a str,
    location: &'a Location,
    now: DateTime<Utc>,
}

impl Frame<'_> {
    /// With an offset that has no colon, as the dates of creation and change are printed.
    fn stamp(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.location.zone());
        local.format("%Y-%m-%dT%H:%M:%S%z").to_string()
    }

    fn short_client(&self) -> Value {
        json!({
            "id": 160_000_001, "name": "Clara", "surname": "", "patronymic": "",
            "display_name": "Clara", "comment": "", "phone": CLIENT_PHONE, "card": "",
            "email": "", "success_visits_count": 3, "fail_visits_count": 0, "discount": 0,
            "custom_fields": [], "sex": 0, "birthday": "", "client_tags": [],
        })
    }

    fn appointment(&self) -> Value {
        let visit = (self.now + TimeDelta::days(2)).with_timezone(&self.location.zone());
        let visit_of = json!({
            "id": self.id, "company_id": self.location.id, "staff_id": 2_800_001,
            "clients_count": 1, "activity_id": 0, "bookform_id": 0,
            "visit_id": self.id - 90_000_000, "created_user_id": 12_000_001,
            "date": visit.format("%Y-%m-%d %H:%M:%S").to_string(),
            "datetime": visit.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "create_date": self.stamp(self.now - TimeDelta::minutes(5)),
            "last_change_date": self.stamp(self.now),
            "comment": "", "online": false, "attendance": 0, "visit_attendance": 0,
            "confirmed": 1, "seance_length": 3600, "length": 3600,
            "deleted": self.status == "delete", "client": self.short_client(),
        });
        let people_and_money = json!({
            "paid_full": 0, "payment_status": 0, "prepaid": false,
            "prepaid_confirmed": false, "is_update_blocked": false, "is_mobile": 0,
            "custom_fields": [], "record_labels": [], "documents": [],
            "goods_transactions": [], "comer": null, "comer_person_info": null,
            "services": [{
                "id": 5_000_001, "title": "Haircut", "cost": 40, "cost_to_pay": 40,
                "manual_cost": 40, "cost_per_unit": 40, "discount": 0, "first_cost": 40,
                "amount": 1,
            }],
            "staff": {
                "id": 2_800_001, "api_id": null, "name": "Max", "specialization": "Barber",
                "position": {"id": 120_001, "title": "Barber"},
                "avatar": "https://assets.example.com/sm.png",
                "avatar_big": "https://assets.example.com/big.png",
                "rating": 4.9, "votes_count": 12,
            },
        });
        let reminders = json!({
            "sms_before": 1, "sms_now": 1, "sms_now_text": "", "email_now": 1, "notified": 0,
            "master_request": 0, "api_id": "", "from_url": "", "review_requested": 0,
            "record_from": "", "sms_remain_hours": 1, "email_remain_hours": 1,
            "custom_color": "", "custom_font_color": "", "composite": [],
            "short_link": "https://short.example.com/c/AAAAA/",
        });
        merged(merged(visit_of, people_and_money), reminders)
    }

    fn client(&self) -> Value {
        json!({
            "id": self.id, "name": "Clara", "surname": "", "patronymic": "",
            "display_name": "Clara", "phone": CLIENT_PHONE, "email": "", "discount": 0,
            "card": "", "sex_id": 0, "sex": "unknown", "sms_check": 0, "sms_bot": 0,
            "sms_not": 0, "importance_id": 0, "importance": "No priority level",
            "comment": "", "last_change_date": self.stamp(self.now),
            "birth_date": "1900-01-01", "visits": 0, "spent": 0, "paid": 0, "balance": 0,
            "categories": [], "custom_fields": [],
        })
    }

    fn staff(&self) -> Value {
        json!({
            "id": self.id, "api_id": null, "name": "Max", "specialization": "Barber",
            "rating": 4.43, "show_rating": 1, "user_id": null, "user": [],
            "has_access_timetable": true, "is_paid_staff": true, "comments_count": 0,
            "votes_count": 0, "bookable": true, "image_group": [], "information": "",
            "avatar": "https://assets.example.com/sm.png",
            "avatar_big": "https://assets.example.com/big.png",
            "position_id": 120_001, "position": {"id": 120_001, "title": "Barber"},
            "schedule_till": "1970-01-01", "weight": 10, "status": 0, "hidden": 0,
            "fired": u8::from(self.status == "delete"), "prepaid": "forbidden",
        })
    }

    fn service(&self) -> Value {
        json!({
            "id": self.id, "salon_service_id": self.id + 200_000, "title": "Haircut",
            "booking_title": "Haircut", "category_id": 10_880_001, "price_min": 40,
            "price_max": 60, "duration": 3600, "discount": 0, "comment": "", "weight": 18,
            "active": 1, "api_id": "0", "prepaid": "forbidden", "is_multi": false,
            "capacity": 0, "image_group": [], "date_from": "0000-00-00",
            "date_to": "0000-00-00", "staff": [{"id": 2_800_001, "seance_length": 3600}],
            "is_price_managed_only_in_chain": false,
            "is_comment_managed_only_in_chain": false,
        })
    }

    /// The id key is `good_id`; there is no `id`.
    fn good(&self) -> Value {
        json!({
            "good_id": self.id, "title": "Shampoo 250 ml", "value": "Shampoo 250 ml",
            "label": "Shampoo 250 ml (SKU-1)", "article": "SKU-1", "category": "Hair",
            "category_id": 5001, "salon_id": self.location.id, "cost": 10.5,
            "unit_id": 216_001, "unit_short_title": "pc", "service_unit_id": 216_001,
            "service_unit_short_title": "pc", "actual_cost": 7.25, "unit_actual_cost": 7.25,
            "unit_actual_cost_format": "7.25 $", "unit_equals": 1,
            "barcode": "0000000000000", "is_chain": false, "comment": "",
            "actual_amounts": [{"storage_id": 18_001, "amount": 5}],
            "critical_amount": null, "desired_amount": 0, "is_goods_mark_enabled": false,
            "last_change_date": self.stamp(self.now),
        })
    }

    /// Objects that are absent are printed as empty lists.
    fn goods_operation(&self, type_id: i64, label: &str, amount: i64) -> Value {
        let sold = type_id == 1;
        json!({
            "id": self.id, "document_id": self.id + 84_000_000, "type_id": type_id,
            "type": label, "amount": amount, "operation_unit_type": 1,
            "good": {"id": 12_000_001, "title": "Shampoo 250 ml"},
            "storage": {"id": 18_001, "title": "Products"},
            "unit": {"id": 216_001, "title": "Piece", "short_title": "pc"},
            "create_date": self.stamp(self.now), "last_change_date": self.stamp(self.now),
            "cost_per_unit": 10.5, "cost": 10.5, "discount": 0, "comment": "",
            "master": {"id": 2_800_001, "title": "Max"}, "supplier": [], "service": [],
            "record_id": 0,
            "client": if sold {
                json!({"id": 160_000_001, "name": "Clara", "phone": "10000000009"})
            } else {
                json!([])
            },
        })
    }

    fn finances(&self) -> Value {
        json!({
            "id": self.id, "document_id": self.id + 59_000_000,
            "date": self.stamp(self.now), "last_change_date": self.stamp(self.now),
            "amount": 40, "comment": "", "expense": {"id": 5, "title": "Services"},
            "account": {"id": 17_001, "title": "Cash desk"}, "master": [], "supplier": [],
            "client": {
                "id": 160_000_001, "name": "Clara", "phone": CLIENT_PHONE, "email": "",
            },
            "record_id": 1_670_000_001, "visit_id": 1_450_000_002_i64,
            "sold_item_id": 5_000_001, "sold_item_type": "service",
        })
    }

    /// Unlike in M1, the time zone is a text and the schedule an object.
    fn place(&self) -> Value {
        let zone = self.location.zone();
        let hours = dates::number(dates::offset_hours(self.now, zone));
        let more = json!({
            "timezone": hours.to_string(), "schedule": {}, "site": "", "zip": "10001",
            "business_group_id": 1, "business_type_id": 1, "main_group_id": 0,
            "main_group": null, "record_type_id": 0, "booking_comment_required": false,
            "booking_email_required": false,
            "social": {
                "facebook": "", "instagram": "", "telegram": "", "whatsapp": "", "viber": "",
                "vk": "",
            },
        });
        merged(self.location.listed(self.now), more)
    }
}

/// One object with the fields of both; those of the second win.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}
