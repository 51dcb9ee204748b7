//! Core from outside, one program for all: it is built and linked once.

// A node's document is one long macro.
#![recursion_limit = "256"]

mod access;
mod addresses;
mod admin_flags;
mod allocations;
mod another_port;
mod api_change;
mod api_client;
mod api_errors;
mod api_fine;
mod api_node;
mod api_noise;
mod api_power;
mod api_read;
mod api_rig;
mod api_route;
mod api_whole;
mod attacks;
mod bmc_looks;
mod bmc_settings;
mod common;
mod credentials;
mod every_verb;
mod image_versions;
mod interfaces;
mod leaving;
mod life;
mod machines;
mod networks_watch;
mod operators_records;
mod other_machine;
mod port_groups;
mod ports;
mod power;
mod property;
mod proxy_dhcp;
mod restart;
mod shut_ports;
mod sizes;
mod steps;
mod switch_tables;
mod switches;
mod transport;
mod unproven;
mod waits;
mod which_port;
mod wire;
