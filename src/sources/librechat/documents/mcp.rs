//! Telling tools of MCP servers and agents by their names.

/// What stands between the name of a tool and that of its MCP server.
const DELIMITER: &str = "_mcp_";

/// The tool and the MCP server in the name of a tool, where it is one of an MCP server.
pub fn parts(tool: &str) -> Option<(&str, &str)> {
    let (tool, server) = tool.rsplit_once(DELIMITER)?;
    (!tool.is_empty() && !server.is_empty()).then_some((tool, server))
}

/// The MCP server of a tool, where it has one.
pub fn server(tool: &str) -> Option<&str> {
    parts(tool).map(|(_, server)| server)
}

/// Whether a model is an agent or an assistant: LibreChat stores their ids in the place of a model.
pub fn is_agent(model: &str) -> bool {
    ["agent_", "asst_"].iter().any(|prefix| model.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_tool_is_its_server() {
        assert_eq!(parts("get_issue_mcp_github"), Some(("get_issue", "github")));
        assert_eq!(parts("a_mcp_b_mcp_c"), Some(("a_mcp_b", "c")));
        for tool in ["web_search", "_mcp_github", "search_mcp_", ""] {
            assert_eq!(parts(tool), None, "{tool}");
        }
    }

    #[test]
    fn agents_and_assistants_have_ids_of_their_own() {
        assert!(is_agent("agent_ab12") && is_agent("asst_x"));
        assert!(!is_agent("gpt-4o") && !is_agent("my_agent_"));
    }
}
