mod redirect;
mod wire;
