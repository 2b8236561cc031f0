//! A real Prometheus.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mongod::free_port;
use crate::process::{Server, folder};

/// A Prometheus that ends with the test.
pub struct Prometheus {
    child: Child,
    address: String,
    folder: PathBuf,
}

/// A series of an answer: its labels, and its samples as times and values.
pub struct Series {
    pub labels: Value,
    pub samples: Vec<(f64, f64)>,
}

impl Prometheus {
    /// An empty data folder with this name for a Prometheus that has not been started.
    pub fn data(name: &str) -> PathBuf {
        folder(&format!("prometheus-{name}"))
    }

    /// Starts it on a data folder, scraping `server` every second as job `librechat`, with files of rules.
    pub fn start(data: &Path, server: &Server, rules: &[PathBuf]) -> Prometheus {
        let target = server.address().trim_start_matches("http://");
        let rules: Vec<String> =
            rules.iter().map(|path| format!("  - {:?}", path.display().to_string())).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files:\n{}\n\
             scrape_configs:\n- job_name: librechat\n  static_configs:\n  - targets: ['{target}']\n\
             \x20   labels: {{instance: exporter}}\n",
            rules.join("\n")
        );
        Prometheus::start_with(data, &config)
    }

    /// Starts it on a data folder with a configuration.
    pub fn start_with(data: &Path, config: &str) -> Prometheus {
        let file = data.join("prometheus.yml");
        std::fs::write(&file, config).expect("a file");
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.join("data").display()))
            .arg("--storage.tsdb.retention.time=10y")
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("prometheus (Debian's package) is installed");
        Prometheus { child, address, folder: data.to_owned() }
    }

    /// The data of a query at a time in seconds since 1970, or now; `None` while it does not answer.
    fn try_query(&self, query: &str, time: Option<f64>) -> Option<Value> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut form = vec![("query", query.to_owned())];
        form.extend(time.map(|time| ("time", time.to_string())));
        let url = format!("http://{}/api/v1/query", self.address);
        let mut answer = agent.post(url).send_form(form).ok()?;
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        if answer["errorType"] == "bad_data" {
            panic!("{query}: {}", answer["error"]);
        }
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The series that a query answers with.
    pub fn query(&self, query: &str, time: Option<f64>) -> Vec<Series> {
        let data = self.try_query(query, time).unwrap_or_else(|| panic!("no answer: {query}"));
        let pair = |value: &Value| {
            let number = value[1].as_str().expect("a value").parse().expect("a number");
            (value[0].as_f64().expect("a time"), number)
        };
        if data["resultType"] == "scalar" {
            let samples = vec![pair(&data["result"])];
            return vec![Series { labels: Value::Null, samples }];
        }
        let result = data["result"].as_array().expect("series").iter();
        result
            .map(|series| {
                let values = series["values"].as_array();
                let samples = match values {
                    Some(values) => values.iter().map(pair).collect(),
                    None => vec![pair(&series["value"])],
                };
                Series { labels: series["metric"].clone(), samples }
            })
            .collect()
    }

    /// Waits until it has scraped a job, and fails if it could not.
    pub fn wait_until_scraped(&self, job: &str) {
        let url = format!("http://{}/api/v1/targets", self.address);
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let answer = ureq::get(&url).call().ok();
            let text = answer.and_then(|mut answer| answer.body_mut().read_to_string().ok());
            let answer: Value =
                text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let targets = answer["data"]["activeTargets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| target["labels"]["job"] == job) {
                match target["health"].as_str() {
                    Some("up") => return,
                    Some("down") => panic!("{job}: {}", target["lastError"]),
                    _ => {}
                }
            }
            // Prometheus tells nobody when it has scraped.
            sleep(Duration::from_millis(100));
        }
        panic!("{job} is never scraped");
    }

    /// Waits until a query answers with a series.
    pub fn wait_for(&self, query: &str) {
        loop {
            let found = self.try_query(query, None);
            if found
                .is_some_and(|data| data["result"].as_array().is_some_and(|all| !all.is_empty()))
            {
                return;
            }
            // Prometheus tells nobody when it has scraped.
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Makes OpenMetrics with timestamps the past of a Prometheus that is not running.
pub fn create_blocks(history: &str, data: &Path) {
    let file = data.join("history.om");
    std::fs::write(&file, history).expect("a file");
    let output = Command::new("promtool")
        // It reads the file once for each block.
        .args(["tsdb", "create-blocks-from", "--max-block-duration=768h", "openmetrics"])
        .args([&file, &data.join("data")])
        .output()
        .expect("promtool (Debian's package prometheus) is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
}

/// All samples of a Prometheus that is not running, a line each.
pub fn dump(data: &Path) -> String {
    // It wants one to be there, even if there was never anything in it.
    std::fs::create_dir_all(data.join("data/wal")).expect("a folder");
    let output = Command::new("promtool")
        .args(["tsdb", "dump"])
        .arg(data.join("data"))
        .output()
        .expect("promtool (Debian's package prometheus) is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
