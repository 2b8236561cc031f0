//! The metric families of the LibreChat source: name, type, labels, groups and meaning. Those of
//! [scans](crate::sources::librechat::scans) are in the files of the scans.
//!
//! The families of the groups are those of virtuos/librechat_exporter, so that its dashboards go on
//! working. "5 minutes" is `createdAt` within 300 seconds before and after now, unless it says
//! `updatedAt`.

use crate::sources::librechat::groups::{
    ACCOUNT, AGENT, BASIC, COST, FILE, MODEL, PER_USER, RATING, RESPONSE, TIME_WINDOW, TOKEN, TOOL,
    USER,
};

crate::catalogue! {
    UP: Gauge "librechat_up" [] () "1 if MongoDB answered at the last refresh, else 0.";
    STORED_DOCUMENTS: Gauge "librechat_stored_documents" ["collection"] () "Documents now in each of LibreChat's collections.";

    MESSAGES: Counter "librechat_messages_total" [] (BASIC) "Messages, of people and of models.";
    ERROR_MESSAGES: Counter "librechat_error_messages_total" [] (BASIC) "Messages with an error.";
    CONVERSATIONS: Counter "librechat_conversations_total" [] (BASIC) "Conversations started.";

    INPUT_TOKENS: Counter "librechat_input_tokens_total" [] (TOKEN) "Tokens of user messages.";
    OUTPUT_TOKENS: Counter "librechat_output_tokens_total" [] (TOKEN) "Tokens of replies.";

    REGISTERED_USERS: Counter "librechat_registered_users_total" [] (USER) "Users registered.";
    ACTIVE_USERS: Gauge "librechat_active_users" [] (USER) "Different users with a message in the last 5 minutes.";
    ACTIVE_CONVERSATIONS: Gauge "librechat_active_conversations" [] (USER) "Different conversations with a message in the last 5 minutes.";
    DAILY_UNIQUE_USERS: Gauge "librechat_daily_unique_users" [] (USER) "Different users with a message today.";
    WEEKLY_UNIQUE_USERS: Gauge "librechat_weekly_unique_users" [] (USER) "Different users with a message this week, which begins on Monday.";
    MONTHLY_UNIQUE_USERS: Gauge "librechat_monthly_unique_users" [] (USER) "Different users with a message this month.";

    USERS_PER_DAY_MEAN: Gauge "librechat_users_per_day_mean" [] (USER) "Different users with a message a day, mean over the last STATISTICS_DAYS complete days.";
    USERS_PER_DAY_DEVIATION: Gauge "librechat_users_per_day_stddev" [] (USER) "Different users with a message a day, standard deviation over the last STATISTICS_DAYS complete days.";
    MESSAGES_PER_USER_MEAN: Gauge "librechat_messages_per_user_mean" [] (USER) "Messages by and to each user who was active in the last STATISTICS_DAYS complete days, mean.";
    MESSAGES_PER_USER_DEVIATION: Gauge "librechat_messages_per_user_stddev" [] (USER) "Messages by and to each user who was active in the last STATISTICS_DAYS complete days, standard deviation.";
    MESSAGES_PER_MODEL_TODAY: Gauge "librechat_messages_per_model_today" ["model"] (MODEL) "Replies today by model.";
    MESSAGES_PER_MODEL_PER_DAY_MEAN: Gauge "librechat_messages_per_model_per_day_mean" ["model"] (MODEL) "Replies a day by model, mean over the last STATISTICS_DAYS complete days.";
    MESSAGES_PER_MODEL_PER_DAY_DEVIATION: Gauge "librechat_messages_per_model_per_day_stddev" ["model"] (MODEL) "Replies a day by model, standard deviation over the last STATISTICS_DAYS complete days.";

    MESSAGES_PER_MODEL: Counter "librechat_messages_per_model_total" ["model"] (MODEL) "Replies by model.";
    ERRORS_PER_MODEL: Counter "librechat_errors_per_model_total" ["model"] (MODEL) "Messages with an error by model.";
    INPUT_TOKENS_PER_MODEL: Counter "librechat_input_tokens_per_model_total" ["model"] (MODEL, TOKEN) "Tokens of user messages by the model that answered.";
    OUTPUT_TOKENS_PER_MODEL: Counter "librechat_output_tokens_per_model_total" ["model"] (MODEL, TOKEN) "Tokens of replies by model.";

    MESSAGES_5M: Gauge "librechat_messages_5m" [] (TIME_WINDOW) "Messages in the last 5 minutes.";
    MESSAGES_PER_MODEL_5M: Gauge "librechat_messages_per_model_5m" ["model"] (TIME_WINDOW, MODEL) "Replies in the last 5 minutes by model.";
    ERROR_MESSAGES_5M: Gauge "librechat_error_messages_5m" [] (TIME_WINDOW, BASIC) "Messages with an error in the last 5 minutes.";
    ERRORS_PER_MODEL_5M: Gauge "librechat_errors_per_model_5m" ["model"] (TIME_WINDOW, MODEL) "Messages with an error in the last 5 minutes by model.";
    INPUT_TOKENS_5M: Gauge "librechat_input_tokens_5m" [] (TIME_WINDOW, TOKEN) "Tokens of user messages in the last 5 minutes.";
    OUTPUT_TOKENS_5M: Gauge "librechat_output_tokens_5m" [] (TIME_WINDOW, TOKEN) "Tokens of replies in the last 5 minutes.";
    MODEL_INPUT_TOKENS_5M: Gauge "librechat_model_input_tokens_5m" ["model"] (TIME_WINDOW, MODEL, TOKEN) "Tokens of user messages in the last 5 minutes by the model that answered.";
    MODEL_OUTPUT_TOKENS_5M: Gauge "librechat_model_output_tokens_5m" ["model"] (TIME_WINDOW, MODEL, TOKEN) "Tokens of replies in the last 5 minutes by model.";

    THUMBS_UP: Gauge "librechat_thumbs_up_total" [] (RATING) "Messages now rated thumbs up.";
    THUMBS_DOWN: Gauge "librechat_thumbs_down_total" [] (RATING) "Messages now rated thumbs down.";
    RATED_MESSAGES: Gauge "librechat_rated_messages_total" [] (RATING) "Messages that now have feedback.";
    OVERALL_RATING_RATIO: Gauge "librechat_overall_rating_ratio" [] (RATING) "Percentage of ratings that are thumbs up; 0 without ratings.";
    THUMBS_UP_PER_MODEL: Gauge "librechat_thumbs_up_per_model" ["model"] (RATING) "Messages now rated thumbs up by model.";
    THUMBS_DOWN_PER_MODEL: Gauge "librechat_thumbs_down_per_model" ["model"] (RATING) "Messages now rated thumbs down by model.";
    RATING_RATIO_PER_MODEL: Gauge "librechat_rating_ratio_per_model" ["model"] (RATING) "Percentage of a model's ratings that are thumbs up.";
    RATING_COUNTS_PER_TAG: Gauge "librechat_rating_counts_per_tag" ["tag"] (RATING) "Messages now rated by the tag of the feedback.";
    MODEL_TAG_THUMBS_UP: Gauge "librechat_model_tag_thumbs_up" ["model", "tag"] (RATING) "Messages now rated thumbs up by model and tag.";
    MODEL_TAG_THUMBS_DOWN: Gauge "librechat_model_tag_thumbs_down" ["model", "tag"] (RATING) "Messages now rated thumbs down by model and tag.";
    THUMBS_UP_5M: Gauge "librechat_thumbs_up_5m" [] (RATING, TIME_WINDOW) "Messages rated thumbs up whose updatedAt is in the last 5 minutes.";
    THUMBS_DOWN_5M: Gauge "librechat_thumbs_down_5m" [] (RATING, TIME_WINDOW) "Messages rated thumbs down whose updatedAt is in the last 5 minutes.";

    TOOL_CALLS: Counter "librechat_tool_calls_total" [] (TOOL) "Tool calls.";
    TOOL_CALLS_PER_TOOL: Gauge "librechat_tool_calls_per_tool" ["tool_name"] (TOOL) "Tool calls by tool.";
    TOOL_CALLS_PER_MODEL: Gauge "librechat_tool_calls_per_model" ["model", "tool_name"] (TOOL) "Tool calls by model and tool.";
    TOOL_CALLS_PER_ENDPOINT: Gauge "librechat_tool_calls_per_endpoint" ["api_endpoint", "tool_name"] (TOOL) "Tool calls by endpoint and tool.";
    TOOL_CALL_ERRORS: Counter "librechat_tool_call_errors_total" [] (TOOL) "Tool calls that failed.";
    TOOL_CALL_ERRORS_PER_TOOL: Counter "librechat_tool_call_errors_per_tool_total" ["tool_name"] (TOOL) "Tool calls that failed by tool.";
    TOOL_SUCCESS_RATE_PER_TOOL: Gauge "librechat_tool_success_rate_per_tool" ["tool_name"] (TOOL) "Percentage of a tool's calls that did not fail.";
    MESSAGES_WITH_TOOLS: Counter "librechat_messages_with_tools_total" [] (TOOL) "Messages with a tool call.";
    TOOL_CALLS_5M: Gauge "librechat_tool_calls_5m" [] (TOOL, TIME_WINDOW) "Tool calls of young messages whose updatedAt is in the last 5 minutes.";
    TOOL_CALL_ERRORS_5M: Gauge "librechat_tool_call_errors_5m" [] (TOOL, TIME_WINDOW) "Tool calls that failed of young messages whose updatedAt is in the last 5 minutes.";
    TOOL_CALLS_PER_TOOL_5M: Gauge "librechat_tool_calls_per_tool_5m" ["tool_name"] (TOOL, TIME_WINDOW) "Tool calls by tool of young messages whose updatedAt is in the last 5 minutes.";
    ACTIVE_TOOL_USERS: Gauge "librechat_active_tool_users" [] (TOOL, USER) "Different users of young messages with a tool call whose updatedAt is in the last 5 minutes.";

    UPLOADED_FILES: Counter "librechat_uploaded_files_total" [] (FILE) "Files uploaded.";

    FEEDBACK: Gauge "librechat_feedback" ["model", "rating", "tag"] (RATING) "Messages now so rated; the tag is `none` where none was given.";

    TRANSACTION_TOKENS: Counter "librechat_transaction_tokens_total" ["model", "token_type"] (COST) "Tokens that models were paid for: all calls of a model, where a message holds the last.";
    TRANSACTION_COST: Counter "librechat_transaction_cost_usd_total" ["model", "token_type"] (COST) "What these tokens cost, in USD, by the prices of LibreChat.";
    PROMPT_CACHE_TOKENS: Counter "librechat_prompt_cache_tokens_total" ["model", "kind"] (COST) "Prompt tokens read from the cache, written to it, and uncached, where the model's provider tells.";
    CREDITS_GRANTED: Counter "librechat_credits_granted_usd_total" ["context"] (COST) "Credits given to users, in USD, by the occasion.";

    RESPONSE_DURATION: Histogram "librechat_response_duration_seconds" ["model"] (RESPONSE) "How long the first reply to a user message took, where it did not fail.";
    UNFINISHED_MESSAGES: Counter "librechat_unfinished_messages_total" ["model"] (RESPONSE) "Replies that were not finished a day after they began.";

    AGENT_USERS: Gauge "librechat_agent_users" ["model"] (AGENT) "Different users with a reply of the agent or assistant in the last 30 days, today included.";
    MCP_TOOL_CALLS: Counter "librechat_mcp_tool_calls_total" ["server", "tool"] (AGENT) "Calls of tools of MCP servers.";
    MCP_USERS: Gauge "librechat_mcp_users" ["server"] (AGENT) "Different users of tools of the MCP server in the last 30 days, today included.";

    ACTIVE_USERS_ROLLING: Gauge "librechat_active_users_rolling" ["window"] (ACCOUNT) "Different users with a message in the last 1, 7 or 30 times 24 hours.";
    RETURNING_USERS: Gauge "librechat_returning_users" ["window"] (ACCOUNT) "Different users with a message in the last 7 or 30 times 24 hours and in as long a time before.";
    POWER_USERS: Gauge "librechat_power_users" ["tier"] (ACCOUNT) "Different users by how many messages they wrote and got in the last 30 days, today included.";
    MESSAGES_BY_HOUR: Gauge "librechat_messages_by_hour" ["hour"] (ACCOUNT) "Messages in each hour of the day, over the last STATISTICS_DAYS complete days.";
    MESSAGES_BY_WEEKDAY: Gauge "librechat_messages_by_weekday" ["weekday"] (ACCOUNT) "Messages on each day of the week, over the last STATISTICS_DAYS complete days.";

    USER_TOKENS: Counter "librechat_user_tokens_total" ["user", "token_type"] (PER_USER) "Tokens that models were paid for, by user.";
    USER_COST: Counter "librechat_user_cost_usd_total" ["user"] (PER_USER) "What these tokens cost, in USD, by user.";
}
