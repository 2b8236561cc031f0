//! The classes of strings in documents that become label values. The state file has their numbers.

use crate::exposition::labels::Class;

/// Models, and the agents in their place.
pub const MODEL: Class = Class::numbered(0);
/// Endpoints.
pub const ENDPOINT: Class = Class::numbered(1);
/// Tools.
pub const TOOL: Class = Class::numbered(2);
/// MCP servers.
pub const SERVER: Class = Class::numbered(3);
/// Tags of ratings.
pub const TAG: Class = Class::numbered(4);
/// Occasions of transactions.
pub const OCCASION: Class = Class::numbered(5);
/// People, by the ids of their accounts.
pub const USER: Class = Class::numbered(6);
