//! CONTRIBUTING.md: what it says about adding a collector is done to the letter, in a copy of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

use mongodb::bson::{Document, doc};

use crate::mongod::Mongod;
use crate::process::folder;

/// What a step does to a file.
enum Step {
    /// Makes it.
    New { path: String, text: String },
    /// Adds a line to it after the one that begins so.
    Add { path: String, after: String, text: String },
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The steps of the text: each is a paragraph that names a file, and the code below it.
fn steps(text: &str) -> Vec<Step> {
    let (_, text) = text.split_once("## How to add a collector").expect("the chapter");
    let mut steps = Vec::new();
    let mut parts = text.split("\n```");
    while let (Some(told), Some(code)) = (parts.next(), parts.next()) {
        let told = told.rsplit("\n\n").find(|paragraph| paragraph.contains('`')).expect("a step");
        let told = told.replace('\n', " ");
        let (_, code) = code.split_once('\n').expect("a language");
        let text = format!("{code}\n");
        let quoted = |before: &str| -> Option<String> {
            let (_, rest) = told.split_once(before)?;
            let (mark, rest) =
                rest.strip_prefix("`` ").map_or(("`", &rest[1..]), |rest| (" ``", rest));
            rest.split_once(mark).map(|(quoted, _)| quoted.to_owned())
        };
        steps.push(match quoted("A new file ") {
            Some(path) => Step::New { path, text },
            None => Step::Add {
                path: quoted("In ").expect("a file"),
                after: quoted("after the line that begins with ")
                    .or_else(|| quoted("after the line "))
                    .expect("a line"),
                text,
            },
        });
    }
    steps
}

fn follow(step: Step, project: &Path) {
    match step {
        Step::New { path, text } => {
            let path = project.join(path);
            assert!(!path.exists(), "{} is not new", path.display());
            std::fs::write(path, text).expect("a file");
        }
        Step::Add { path, after, text } => {
            let file = project.join(&path);
            let old = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{path}: {e}"));
            let found = old.lines().filter(|line| line.starts_with(&after)).count();
            assert_eq!(found, 1, "lines in {path} that begin with {after:?}");
            assert_eq!(text.lines().count(), 1, "one line in {path}");
            let mut new = String::new();
            for line in old.lines() {
                new.push_str(line);
                new.push('\n');
                if line.starts_with(&after) {
                    new.push_str(&text);
                }
            }
            std::fs::write(file, new).expect("a file");
        }
    }
}

/// A copy of all that is built.
fn copy() -> PathBuf {
    let project = folder("contributing/project");
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        "askama.toml",
        "README.md",
        ".env.example",
        "src",
        "tests",
        "benches",
        "fuzz",
        "demo",
        "docs",
        "migrations-notes",
        "alerts",
        "packaging",
        "Dockerfile",
        "docker-compose.yml",
        "dashboards",
    ] {
        let status = Command::new("cp").arg("-r").arg(root().join(name)).arg(&project).status();
        assert!(status.expect("cp runs").success(), "{name}");
    }
    // Cargo tells two packages apart by name and version, not by where they are: with another version, what
    // the copy is compiled to does not take the place of what the project is.
    let manifest = project.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("the manifest");
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(version), "{text}");
    std::fs::write(&manifest, text.replacen(version, &format!("{version}-copy"), 1))
        .expect("a file");
    project
}

fn cargo(project: &Path, arguments: &[&str]) {
    // What other crates are compiled to is shared, what is made of them is not.
    let output = Command::new(env!("CARGO"))
        .args(["--quiet", "--offline"])
        .args(arguments)
        .current_dir(project)
        .env(
            "CARGO_BUILD_BUILD_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target"),
        )
        .env("CARGO_TARGET_DIR", project.parent().expect("a folder").join("target"))
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the project once more; a step of .ci/run"]
async fn how_to_add_a_collector_works_to_the_letter() {
    let project = copy();
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).expect("the text");
    let steps = steps(&text);
    assert_eq!(steps.len(), 3, "a file, its line in the list, its row in the README");
    steps.into_iter().for_each(|step| follow(step, &project));

    let scan = project.join("src/sources/librechat/scans/presets.rs");
    let formatted =
        Command::new("rustfmt").args(["--edition", "2024", "--check"]).arg(scan).output();
    let formatted = formatted.expect("rustfmt runs");
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));

    cargo(&project, &["test", "--lib", "--test", "suite", "--", "catalogue::", "presets"]);
    let database = Mongod::shared().database().await;
    let presets = ["openAI", "openAI", "agents"].map(|endpoint| doc! { "endpoint": endpoint });
    database.collection::<Document>("presets").insert_many(presets).await.expect("an insert");
    let output =
        Command::new(project.parent().expect("a folder").join("target/debug/usage-exporter"))
            .arg("--once")
            .env("MONGODB_URI", &Mongod::shared().uri)
            .env("MONGODB_DATABASE", database.name())
            .current_dir(&project)
            .output()
            .expect("the binary runs");
    let page = String::from_utf8(output.stdout).expect("text");
    for sample in ["{endpoint=\"agents\"} 1\n", "{endpoint=\"openAI\"} 2\n"] {
        assert!(page.contains(&format!("\nlibrechat_presets{sample}")), "{page}");
    }
}
