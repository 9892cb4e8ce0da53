#![doc = include_str!("../README.md")]

pub mod catalogue;
mod control;
pub mod home;
pub mod jaeger;
pub mod kafka;
pub mod launch;
pub mod packages;
pub mod platform;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod program;
pub mod redis;
pub mod service;
pub mod services;
pub mod shop;
pub mod sink;
pub mod staff;
pub mod state;
pub mod supervisor;
pub mod topics;
pub mod trace;
pub mod verify;
pub mod wait;
pub mod walk;
