#!/usr/bin/env python3
"""Writes the Grafana dashboards beside this file: `dashboards/generate.py`.

Each dashboard is a list of rows of panels below. A test checks that the files are what this program writes, that
every metric exists, and that every query answers on a real Prometheus.
"""
import json
import pathlib

HERE = pathlib.Path(__file__).parent

# The services chosen at the top of a dashboard; every query is limited to them.
CHOSEN = 'instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED = "green", "yellow", "red"


def steps(*bounds):
    """Colours from bounds on, e.g. steps(GREEN, (0.8, YELLOW), (0.9, RED))."""
    first, *rest = bounds
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *({"color": c, "value": v} for v, c in rest)]}


def panel(kind, title, description, queries, unit="short", width=6, height=7, thresholds=None, interval=None, **options):
    """A panel; `queries` is an expression, or a list of pairs of expression and legend."""
    if isinstance(queries, str):
        queries = [(queries, "")]
    custom = options.pop("custom", {})
    at_once = kind in ("stat", "gauge", "bargauge", "piechart", "table", "barchart")
    targets = [{
        "datasource": SOURCE, "expr": " ".join(expression.split()), "legendFormat": legend or "__auto", "refId": chr(65 + i),
        "instant": at_once, "range": not at_once, "format": "table" if kind == "table" else "time_series",
    } for i, (expression, legend) in enumerate(queries)]
    made = {
        "type": kind, "title": title, "description": description, "datasource": SOURCE, "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds or steps(GREEN), "custom": custom, "min": 0}, "overrides": []},
        "options": options, "size": (width, height),
    }
    if interval:
        made["interval"] = interval
    return made


def stat(title, description, query, unit="short", thresholds=None, width=4):
    return panel("stat", title, description, query, unit, width, 4, thresholds, colorMode="value", graphMode="none",
                 reduceOptions={"calcs": ["lastNotNull"], "fields": "", "values": False})


def lines(title, description, queries, unit="short", width=12, height=8, **more):
    return panel("timeseries", title, description, queries, unit, width, height, custom={"lineWidth": 2, "fillOpacity": 10, "showPoints": "never", "spanNulls": 3600000},
                 legend={"displayMode": "list", "placement": "bottom", "calcs": []}, tooltip={"mode": "multi", "sort": "desc"}, **more)


def days(title, description, queries, unit="short", width=12, height=8):
    """A bar for each day: the queries look back over one."""
    return panel("timeseries", title, description, queries, unit, width, height, interval="1d",
                 custom={"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}},
                 legend={"displayMode": "list", "placement": "bottom", "calcs": []}, tooltip={"mode": "multi", "sort": "desc"})


def ranking(title, description, query, legend, unit="short", width=8, height=8, thresholds=None, maximum=None):
    made = panel("bargauge", title, description, [(query, legend)], unit, width, height, thresholds, orientation="horizontal",
                 displayMode="basic", reduceOptions={"calcs": ["lastNotNull"], "fields": "", "values": False})
    if maximum is not None:
        made["fieldConfig"]["defaults"]["max"] = maximum
    return made


def table(title, description, query, unit="short", width=12, height=8):
    made = panel("table", title, description, query, unit, width, height, cellHeight="sm", sortBy=[{"displayName": "Value", "desc": True}])
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True, "instance": True}}}]
    return made


def hours(title, description):
    made = panel("barchart", title, description, f"sum by (hour) (librechat_messages_by_hour{{{CHOSEN}}})", width=12, height=8,
                 xField="hour", legend={"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []})
    made["targets"][0]["format"] = "table"
    made["transformations"] = [
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {"Value": "messages"}}},
        {"id": "sortBy", "options": {"sort": [{"field": "hour"}]}},
    ]
    return made


def total(family, more="", of="sum"):
    return f"{of}({family}{{{CHOSEN}{more}}})"


def increase(family, span, by="", more=""):
    by = f" by ({by})" if by else ""
    return f"sum{by} (increase({family}{{{CHOSEN}{more}}}[{span}]))"


def highest(family, more=""):
    """What a gauge that is about days was at the end of each day."""
    return f"sum(max_over_time({family}{{{CHOSEN}{more}}}[1d]))"


def quantile(share, span, by="le"):
    return f"histogram_quantile({share}, sum by ({by}) (increase(librechat_response_duration_seconds_bucket{{{CHOSEN}}}[{span}])))"


READ_FROM_CACHE = ',kind="read"'
ERROR_RATIO = steps(GREEN, (0.02, YELLOW), (0.05, RED))
FROM_ZERO = steps(GREEN, (1, RED))
UP = steps(RED, (1, GREEN))

OVERVIEW = ("overview", "LibreChat: overview", "Who uses LibreChat, how much and when.", [
    ("People", [
        stat("Registered", "Users ever registered.", total("librechat_registered_users_total")),
        stat("Active now", "Different users with a message in the last 5 minutes.", total("librechat_active_users")),
        stat("Today", "Different users with a message today.", total("librechat_daily_unique_users")),
        stat("This week", "Different users with a message since Monday.", total("librechat_weekly_unique_users")),
        stat("This month", "Different users with a message this month.", total("librechat_monthly_unique_users")),
        stat("Came back", "Different users with a message in the last 30 days and in the 30 days before.", total("librechat_returning_users", ',window="30d"')),
        days("Users a day", "Different users with a message on each day.", [(highest("librechat_daily_unique_users"), "users")]),
        lines("Users over days", "Different users in the last 1, 7 and 30 times 24 hours.",
              [(f"sum by (window) (max_over_time(librechat_active_users_rolling{{{CHOSEN}}}[1h]))", "{{window}}")]),
    ]),
    ("Messages", [
        days("Messages a day", "Messages of people and models on each day.", [(increase("librechat_messages_total", "1d"), "messages")]),
        days("Conversations a day", "Conversations started on each day.", [(increase("librechat_conversations_total", "1d"), "conversations")]),
        lines("Messages in 5 minutes", "Messages, and messages with an error, in the last 5 minutes.",
              [(total("librechat_messages_5m"), "messages"), (total("librechat_error_messages_5m"), "with an error")]),
        lines("Conversations now", "Different conversations with a message in the last 5 minutes.", [(total("librechat_active_conversations"), "conversations")]),
    ]),
    ("Habits", [
        hours("Hours", "Messages in each hour of the day, over the last STATISTICS_DAYS days."),
        ranking("Weekdays", "Messages on each day of the week, over the last STATISTICS_DAYS days.",
                f"sort_desc(sum by (weekday) (librechat_messages_by_weekday{{{CHOSEN}}}))", "{{weekday}}", width=6),
        ranking("Messages of single people", "How many people have how many messages in the last 30 days.",
                f"sum by (tier) (librechat_power_users{{{CHOSEN}}})", "{{tier}}", width=6),
    ]),
    ("Accounts", [
        panel("piechart", "How people log in", "Users by the provider of their account.", [(f"sum by (provider) (librechat_users{{{CHOSEN}}})", "{{provider}}")], width=6, height=8),
        ranking("New accounts", "Users whose account was made in the last 1, 7 and 30 times 24 hours.", f"sum by (window) (librechat_new_users{{{CHOSEN}}})", "{{window}}", width=6),
        stat("Sessions", "Sessions that have not expired.", total("librechat_active_sessions")),
        stat("Shared links", "Shared links that have not expired.", total("librechat_shared_links_active")),
        stat("Banners", "Banners that are displayed now.", total("librechat_banners_active")),
    ]),
    ("Storage", [
        ranking("Documents", "Documents now in each of LibreChat's collections.", f"sum by (collection) (librechat_stored_documents{{{CHOSEN}}})", "{{collection}}", width=12),
        days("Files a day", "Files uploaded on each day.", [(increase("librechat_uploaded_files_total", "1d"), "files")], width=6),
        stat("Stored files", "Bytes of the files now stored.", total("librechat_stored_file_bytes"), "bytes"),
    ]),
])

MODELS = ("models-and-cost", "LibreChat: models and cost", "Which models are used, what they cost, how fast they answer.", [
    ("Use", [
        days("Replies a day", "Replies of each model on each day.", [(increase("librechat_messages_per_model_total", "1d", "model"), "{{model}}")], width=16),
        panel("piechart", "Share", "Replies of each model in the time shown.", [(increase("librechat_messages_per_model_total", "$__range", "model"), "{{model}}")], width=8, height=8),
        ranking("Today", "Replies of each model today.", f"sum by (model) (librechat_messages_per_model_today{{{CHOSEN}}})", "{{model}}"),
        ranking("On a usual day", "Mean of the replies of each model a day over the last STATISTICS_DAYS days.",
                f"sum by (model) (librechat_messages_per_model_per_day_mean{{{CHOSEN}}})", "{{model}}"),
        lines("In 5 minutes", "Replies of each model in the last 5 minutes.", [(f"sum by (model) (librechat_messages_per_model_5m{{{CHOSEN}}})", "{{model}}")], width=8),
    ]),
    ("Cost, by LibreChat's transactions and prices", [
        stat("In the time shown", "What the tokens of all models cost, in USD.", increase("librechat_transaction_cost_usd_total", "$__range"), "currencyUSD"),
        stat("Within a day", "What the tokens of all models cost in the last 24 hours, in USD.", increase("librechat_transaction_cost_usd_total", "1d"), "currencyUSD"),
        stat("A reply", "What a reply cost in the time shown, in USD.",
             f'{increase("librechat_transaction_cost_usd_total", "$__range")} / {increase("librechat_messages_per_model_total", "$__range")}', "currencyUSD"),
        stat("Credits left", "Credits that all users have left, in USD.", total("librechat_balance_credits_usd"), "currencyUSD"),
        stat("Without credit", "Balances with nothing left.", total("librechat_users_without_credit"), thresholds=steps(GREEN, (1, YELLOW))),
        stat("Credits granted", "Credits given to users in the time shown, in USD.", increase("librechat_credits_granted_usd_total", "$__range"), "currencyUSD"),
        days("Cost a day", "What the tokens of each model cost on each day, in USD.", [(increase("librechat_transaction_cost_usd_total", "1d", "model"), "{{model}}")], "currencyUSD", width=16),
        ranking("Cost by model", "What the tokens of each model cost in the time shown, in USD.", increase("librechat_transaction_cost_usd_total", "$__range", "model"), "{{model}}", "currencyUSD"),
    ]),
    ("Tokens", [
        days("Paid tokens a day", "Tokens that models were paid for on each day: all calls of a model, where a message holds the last.",
             [(increase("librechat_transaction_tokens_total", "1d", "token_type"), "{{token_type}}")]),
        days("Tokens of messages a day", "Tokens of user messages and of replies on each day.",
             [(increase("librechat_input_tokens_total", "1d"), "input"), (increase("librechat_output_tokens_total", "1d"), "output")]),
        ranking("Prompt cache", "Of the prompt tokens of models whose provider tells, how many were read from the cache.",
                f'{increase("librechat_prompt_cache_tokens_total", "$__range", "model", READ_FROM_CACHE)} '
                f'/ {increase("librechat_prompt_cache_tokens_total", "$__range", "model")}', "{{model}}", "percentunit", maximum=1),
        lines("Output tokens in 5 minutes", "Tokens of the replies of each model in the last 5 minutes.", [(f"sum by (model) (librechat_model_output_tokens_5m{{{CHOSEN}}})", "{{model}}")], width=16),
    ]),
    ("Speed and failures", [
        lines("Nine of ten replies come within", "The 90th percentile of how long the first reply to a message takes, within an hour.", [(quantile(0.9, "1h", "le, model"), "{{model}}")], "s"),
        panel("heatmap", "How long replies take", "Replies by how long they took.", [(f"sum by (le) (increase(librechat_response_duration_seconds_bucket{{{CHOSEN}}}[1h]))", "{{le}}")], width=12, height=8),
        ranking("Failed replies", "Share of the replies of each model with an error, in the time shown.",
                f'{increase("librechat_errors_per_model_total", "$__range", "model")} / {increase("librechat_messages_per_model_total", "$__range", "model")}',
                "{{model}}", "percentunit", thresholds=ERROR_RATIO, width=12),
        ranking("Replies that never ended", "Replies that were not finished a day after they began, in the time shown.", increase("librechat_unfinished_messages_total", "$__range", "model"), "{{model}}", width=12),
    ]),
])

TOOLS = ("tools-agents-mcp", "LibreChat: tools, agents and MCP", "Which tools, agents and MCP servers are used, by how many, and what fails.", [
    ("Tools", [
        stat("Calls", "Tool calls in the time shown.", increase("librechat_tool_calls_total", "$__range")),
        stat("Failed", "Share of the tool calls that failed, in the time shown.",
             f'{increase("librechat_tool_call_errors_total", "$__range")} / {increase("librechat_tool_calls_total", "$__range")}', "percentunit", ERROR_RATIO),
        stat("Messages with tools", "Messages with a tool call in the time shown.", increase("librechat_messages_with_tools_total", "$__range")),
        stat("People now", "Different users of tools in the last 5 minutes.", total("librechat_active_tool_users")),
        stat("Calls in 5 minutes", "Tool calls in the last 5 minutes.", total("librechat_tool_calls_5m")),
        stat("Failed in 5 minutes", "Tool calls that failed in the last 5 minutes.", total("librechat_tool_call_errors_5m"), thresholds=steps(GREEN, (1, YELLOW))),
        days("Calls a day", "Tool calls on each day.", [(increase("librechat_tool_calls_total", "1d"), "calls"), (increase("librechat_tool_call_errors_total", "1d"), "failed")]),
        ranking("Calls by tool", "Tool calls ever, by tool.", f"sum by (tool_name) (librechat_tool_calls_per_tool{{{CHOSEN}}})", "{{tool_name}}", width=6),
        ranking("Success by tool", "Percentage of the calls of each tool that did not fail.", f"avg by (tool_name) (librechat_tool_success_rate_per_tool{{{CHOSEN}}})", "{{tool_name}}", "percent",
                width=6, thresholds=steps(RED, (80, YELLOW), (95, GREEN)), maximum=100),
        table("Models and their tools", "Tool calls ever, by model and tool.", f"sum by (model, tool_name) (librechat_tool_calls_per_model{{{CHOSEN}}})"),
        table("Endpoints and their tools", "Tool calls ever, by endpoint and tool.", f"sum by (api_endpoint, tool_name) (librechat_tool_calls_per_endpoint{{{CHOSEN}}})"),
        days("Failed calls a day", "Tool calls that failed on each day, by tool.", [(increase("librechat_tool_call_errors_per_tool_total", "1d", "tool_name"), "{{tool_name}}")], width=24),
    ]),
    ("Agents", [
        ranking("People by agent", "Different users with a reply of each agent in the last 30 days.",
                f"sum by (name) (librechat_agent_users{{{CHOSEN}}} * on (instance, model) group_left (name) librechat_agent_info)", "{{name}}", width=12),
        days("Replies of agents a day", "Replies of each agent on each day.",
             [(f"sum by (name) (increase(librechat_messages_per_model_total{{{CHOSEN}}}[1d]) * on (instance, model) group_left (name) librechat_agent_info)", "{{name}}")]),
    ]),
    ("MCP", [
        days("Calls a day", "Calls of tools of each MCP server on each day.", [(increase("librechat_mcp_tool_calls_total", "1d", "server"), "{{server}}")]),
        ranking("People by server", "Different users of each MCP server in the last 30 days.", f"sum by (server) (librechat_mcp_users{{{CHOSEN}}})", "{{server}}", width=6),
        table("Tools by server", "Calls of tools of MCP servers in the time shown.", increase("librechat_mcp_tool_calls_total", "$__range", "server, tool"), width=6),
    ]),
])

SATISFACTION = ("satisfaction", "LibreChat: satisfaction", "What people think of the replies, and what may annoy them.", [
    ("Ratings", [
        stat("Rated", "Messages that have feedback.", total("librechat_rated_messages_total")),
        stat("Thumbs up", "Messages rated thumbs up.", total("librechat_thumbs_up_total")),
        stat("Thumbs down", "Messages rated thumbs down.", total("librechat_thumbs_down_total")),
        panel("gauge", "Thumbs up", "Percentage of the ratings that are thumbs up.", total("librechat_overall_rating_ratio", of="avg"), "percent", 6, 4, steps(RED, (50, YELLOW), (75, GREEN))),
        stat("Rated replies", "Share of all replies that are rated.", f'{total("librechat_rated_messages_total")} / {total("librechat_messages_per_model_total")}', "percentunit", width=6),
        ranking("By model", "Percentage of the ratings of each model that are thumbs up.", f"avg by (model) (librechat_rating_ratio_per_model{{{CHOSEN}}})", "{{model}}", "percent",
                thresholds=steps(RED, (50, YELLOW), (75, GREEN)), maximum=100),
        ranking("Ups by model", "Messages of each model rated thumbs up.", f"sum by (model) (librechat_thumbs_up_per_model{{{CHOSEN}}})", "{{model}}"),
        ranking("Downs by model", "Messages of each model rated thumbs down.", f"sum by (model) (librechat_thumbs_down_per_model{{{CHOSEN}}})", "{{model}}"),
        ranking("Reasons", "Messages by the tag of the feedback.", f"sum by (tag) (librechat_rating_counts_per_tag{{{CHOSEN}}})", "{{tag}}", width=12),
        table("Reasons by model", "Messages by model, rating and tag.", f"sum by (model, rating, tag) (librechat_feedback{{{CHOSEN}}})"),
        lines("Ratings in 5 minutes", "Ratings in the last 5 minutes.", [(total("librechat_thumbs_up_5m"), "up"), (total("librechat_thumbs_down_5m"), "down")], width=24),
    ]),
    ("What may annoy", [
        lines("Replies come within", "Percentiles of how long the first reply to a message takes, within an hour.",
              [(quantile(share, "1h"), name) for share, name in ((0.5, "half"), (0.9, "9 of 10"), (0.99, "99 of 100"))], "s"),
        lines("Messages with an error", "Share of the messages with an error, within an hour.",
              [(f'{increase("librechat_error_messages_total", "1h")} / {increase("librechat_messages_total", "1h")}', "failed")], "percentunit", thresholds=ERROR_RATIO),
        days("Replies that never ended a day", "Replies that were not finished a day after they began, on each day.", [(increase("librechat_unfinished_messages_total", "1d", "model"), "{{model}}")]),
        days("People who came back", "Different users with a message in the last 7 days and in the 7 days before.", [(highest("librechat_returning_users", ',window="7d"'), "users")]),
    ]),
])

HEALTH = ("exporter-health", "usage-exporter: health", "Whether the numbers are fresh and whole, and what it costs to make them.", [
    ("Now", [
        stat("MongoDB", "1 if MongoDB answered at the last refresh.", total("librechat_up", of="min"), thresholds=UP),
        stat("Collectors that fail", "Collectors whose last refresh failed.", f"count(usage_exporter_collector_success{{{CHOSEN}}} == 0) or vector(0)", thresholds=FROM_ZERO),
        stat("Oldest answer", "How long ago the messages were last read.", f'time() - min(usage_exporter_collector_last_success_timestamp_seconds{{{CHOSEN},collector="messages"}})', "s", steps(GREEN, (300, YELLOW), (900, RED))),
        stat("First pass", "How much of the history the first pass has read.", total("usage_exporter_baseline_progress_ratio", of="min"), "percentunit", steps(YELLOW, (1, GREEN))),
        stat("State saved", "How long ago the state file was written.", f"time() - min(usage_exporter_state_saved_timestamp_seconds{{{CHOSEN}}})", "s", steps(GREEN, (3600, YELLOW))),
        table("Version", "The version and git revision that run.", f"max by (version, revision) (usage_exporter_build_info{{{CHOSEN}}})", width=4, height=4),
    ]),
    ("Collectors", [
        lines("How long refreshes take", "How long the last refresh of each collector took.", [(f"max by (collector) (usage_exporter_collector_duration_seconds{{{CHOSEN}}})", "{{collector}}")], "s"),
        lines("Documents read", "Documents received from MongoDB a second, by collector.", [(f"sum by (collector) (rate(usage_exporter_documents_read_total{{{CHOSEN}}}[$__rate_interval]))", "{{collector}}")], "cps"),
        lines("Failures", "Refreshes that failed within an hour, by reason.", [(f"sum by (collector, reason) (increase(usage_exporter_collector_failures_total{{{CHOSEN}}}[1h])) or vector(0)", "{{collector}} {{reason}}")]),
        ranking("Age of each answer", "How long ago each collector answered; some rest for hours.", f"time() - max by (collector) (usage_exporter_collector_last_success_timestamp_seconds{{{CHOSEN}}})", "{{collector}}", "s", width=12),
    ]),
    ("Data", [
        stat("Skipped fields", "Fields ever skipped because their value has an unexpected type or range.", f"sum(usage_exporter_malformed_fields_total{{{CHOSEN}}}) or vector(0)", thresholds=steps(GREEN, (1, YELLOW)), width=6),
        stat("Folded label sets", "Label sets folded into `other`.", f"sum(usage_exporter_series_dropped{{{CHOSEN}}}) or vector(0)", thresholds=steps(GREEN, (1, YELLOW)), width=6),
        stat("Late documents", "Documents that an audit found behind the watermark.", f"sum(usage_exporter_audit_late_documents_total{{{CHOSEN}}}) or vector(0)", thresholds=steps(GREEN, (1, YELLOW)), width=6),
        stat("State not written", "Writes of the state file that failed within a day.", f"sum(increase(usage_exporter_state_failures_total{{{CHOSEN}}}[1d])) or vector(0)", thresholds=FROM_ZERO, width=6),
    ]),
    ("Process", [
        lines("Memory", "Memory that is resident.", [(f"process_resident_memory_bytes{{{CHOSEN}}}", "{{instance}}")], "bytes", width=8),
        lines("CPU", "Seconds of CPU a second.", [(f"rate(process_cpu_seconds_total{{{CHOSEN}}}[$__rate_interval])", "{{instance}}")], "percentunit", width=8),
        lines("Requests", "HTTP requests a second, by path and status code.", [(f"sum by (path, code) (rate(usage_exporter_http_requests_total{{{CHOSEN}}}[$__rate_interval]))", "{{path}} {{code}}")], "reqps", width=8),
        lines("Open files", "Files and connections that are open.", [(f"process_open_fds{{{CHOSEN}}}", "{{instance}}")], width=12),
        lines("Scrapes", "How long scrapes take.", [(f"scrape_duration_seconds{{{CHOSEN}}} and on (instance) usage_exporter_build_info", "{{instance}}")], "s", width=12),
    ]),
])


def variable(name, label, kind, **more):
    return {"name": name, "label": label, "type": kind, "hide": 0, "refresh": 1, "current": {}, "options": [], **more}


def dashboard(name, title, description, rows):
    panels, top = [], 0
    for heading, content in rows:
        panels.append({"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        left = height = 0
        for made in content:
            width, tall = made.pop("size")
            if left + width > 24:
                top, left, height = top + height, 0, 0
            panels.append({**made, "gridPos": {"x": left, "y": top, "w": width, "h": tall}})
            left, height = left + width, max(height, tall)
        top += height
    for number, made in enumerate(panels, 1):
        made["id"] = number
    query = "label_values(usage_exporter_build_info, instance)"
    return {
        "uid": f"usage-exporter-{name}", "title": title, "description": description, "tags": ["librechat", "usage-exporter"],
        "schemaVersion": 39, "version": 1, "editable": True, "graphTooltip": 1, "refresh": "1m", "timezone": "browser",
        "time": {"from": "now-30d", "to": "now"},
        "templating": {"list": [
            variable("datasource", "Prometheus", "datasource", query="prometheus"),
            variable("instance", "Exporter", "query", datasource=SOURCE, definition=query, query={"query": query, "refId": "instances"},
                     includeAll=True, multi=True, allValue=".*", sort=1),
        ]},
        "links": [{"type": "dashboards", "title": "usage-exporter", "tags": ["usage-exporter"], "asDropdown": True, "keepTime": True, "includeVars": True}],
        "annotations": {"list": []}, "panels": panels,
    }


def main():
    for name, *rest in (OVERVIEW, MODELS, TOOLS, SATISFACTION, HEALTH):
        text = json.dumps(dashboard(name, *rest), indent=1, ensure_ascii=False)
        (HERE / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
