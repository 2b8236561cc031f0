//! A real Chromium without a window.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

use crate::mongod::free_port;

/// The colours that a person prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    Light,
    Dark,
}

/// A Chromium that ends with the test.
pub struct Browser {
    driver: Child,
    pub client: Client,
}

impl Browser {
    /// Starts Chromium with a window of a width.
    pub async fn start(width: u32, colours: Colours) -> Browser {
        let port = free_port();
        let mut driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (Debian's package chromium-driver) is installed");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        while !lines.next().expect("chromedriver starts").expect("text").contains("successfully") {}
        // Nobody may block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let scheme = match colours {
            Colours::Light => 1,
            Colours::Dark => 0,
        };
        let arguments = json!([
            "--headless=new",
            // The tests may run as root, and in a container.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            format!("--window-size={width},900"),
            format!("--blink-settings=preferredColorScheme={scheme}"),
        ]);
        // A window cannot be as narrow as a phone; the page in it can.
        let metrics = json!({ "width": width, "height": 900, "pixelRatio": 1.0 });
        let options = json!({ "args": arguments, "mobileEmulation": { "deviceMetrics": metrics } });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser");
        Browser { driver, client }
    }

    /// What a script on the page returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("a script runs")
    }

    /// What axe-core finds wrong with the page.
    pub async fn violations(&self) -> Vec<String> {
        let output = Command::new(root().join("tests/axe.sh")).output().expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = String::from_utf8(output.stdout).expect("a path");
        let axe = std::fs::read_to_string(path.trim()).expect("axe-core");
        self.client.execute(&axe, Vec::new()).await.expect("axe-core is loaded");
        let script = "const done = arguments[arguments.length - 1]; \
            axe.run(document).then(found => done(found.violations.map(violation => \
            violation.id + ': ' + violation.nodes.map(node => node.html).join(' | '))), \
            error => done([String(error)]));";
        let found = self.client.execute_async(script, Vec::new()).await.expect("axe-core runs");
        serde_json::from_value(found).expect("a list")
    }

    /// Keeps a picture of the page.
    pub async fn keep_picture(&self, name: &str) -> PathBuf {
        let picture = self.client.screenshot().await.expect("a picture");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(&path, picture).expect("a file");
        path
    }

    /// Closes it.
    pub async fn end(self) {
        self.client.clone().close().await.expect("it closes");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
