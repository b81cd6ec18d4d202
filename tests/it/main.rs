//! tests
mod marketplace_client;
mod webhook_sender;
