//! A real Chromium, headless, driven over WebDriver.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::skip;
use super::watcher::Watcher;

const DRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window; it ends on drop.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    _watcher: Watcher,
    /// Address of the session.
    session: String,
    /// Its profile.
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one of this size in pixels, with a light or a dark theme. Without Chromium, `None` after a line that the test
    /// is skipped.
    ///
    /// # Panics
    /// If it does not start; and with `CI=true` instead of a skipped test.
    pub fn start(width: u32, height: u32, dark: bool) -> Option<Self> {
        if !Path::new(DRIVER).exists() || !Path::new(CHROMIUM).exists() {
            skip::unless_ci("Chromium is missing: install chromium and chromium-driver");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut watcher = Watcher::start(r#"[ -z "$note" ] || kill -9 "$note""#, [""; 0]);
        watcher.note(&driver.id().to_string());
        let output = driver.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.split("started successfully on port ").nth(1).map(str::to_owned));
        let port = port.expect("chromedriver names its port");
        // Nothing else is read, and a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        let port = port.trim_end_matches('.');
        let profile = format!("--user-data-dir={}", folder.path().display());
        // 0 is dark, 1 is light.
        let (size, scheme) = (format!("--window-size={width},{height}"), u8::from(!dark));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-quic",
            &size,
            &profile,
            &format!("--blink-settings=preferredColorScheme={scheme}"),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": CHROMIUM, "args": arguments },
        } } });
        let base = format!("http://127.0.0.1:{port}/session");
        let session = post(&base, &capabilities)["sessionId"].as_str().expect("a session").to_owned();
        let this = Self { driver, _watcher: watcher, session: format!("{base}/{session}"), _folder: folder };
        // A narrow window is not as narrow as asked for: the size of the page counts.
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        this.chrome("Emulation.setDeviceMetricsOverride", &size);
        Some(this)
    }

    /// Opens an address.
    pub fn open(&self, address: &str) {
        post(&format!("{}/url", self.session), &json!({ "url": address }));
    }

    /// The value of an expression in JavaScript.
    pub fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression});"))
    }

    /// Runs statements in JavaScript, which may return a value.
    pub fn run(&self, statements: &str) -> Value {
        post(&format!("{}/execute/sync", self.session), &json!({ "script": statements, "args": [] }))
    }

    /// Waits until an expression in JavaScript is true.
    ///
    /// # Panics
    /// If it does not become true.
    pub fn wait_for(&self, expression: &str) {
        let start = Instant::now();
        while self.value(&format!("Boolean({expression})")) != Value::Bool(true) {
            assert!(start.elapsed() < PATIENCE, "not true: {expression}\n{:?}", self.errors());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Moves the mouse to a place in the window, and clicks there if asked to.
    pub fn point(&self, x: f64, y: f64, click: bool) {
        let mut actions = vec![json!({ "type": "pointerMove", "duration": 50, "x": x.round(), "y": y.round() })];
        if click {
            actions
                .extend([json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 })]);
        }
        let mouse =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions });
        post(&format!("{}/actions", self.session), &json!({ "actions": [mouse] }));
    }

    /// Types a key, such as `Escape` (`\u{e00c}`).
    pub fn key(&self, key: &str) {
        let actions = [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        post(&format!("{}/actions", self.session), &json!({ "actions": [keyboard] }));
    }

    /// Errors and warnings in the console since the last call.
    pub fn errors(&self) -> Vec<String> {
        let log = self.log("browser");
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        log.iter().filter(is_bad).map(|entry| entry["message"].to_string()).collect()
    }

    /// Addresses of all requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        let log = self.log("performance");
        let messages = log.iter().filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        let sent = messages.filter(|message| message["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|message| Some(message["message"]["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// The window as a PNG.
    pub fn picture(&self, path: &Path) {
        let text = get(&format!("{}/screenshot", self.session));
        let bytes = data_encoding::BASE64.decode(text.as_str().expect("a picture").as_bytes()).expect("base 64");
        std::fs::write(path, bytes).expect("a writable folder");
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = post(&format!("{}/se/log", self.session), &json!({ "type": kind }));
        log.as_array().cloned().unwrap_or_default()
    }

    fn chrome(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        post(&format!("{}/goog/cdp/execute", self.session), &body);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; the driver is killed in any case.
        let _ = agent().delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The value of the answer to a command of WebDriver.
fn post(address: &str, body: &Value) -> Value {
    answer(agent().post(address).header("content-type", "application/json").send(body.to_string()))
}

fn get(address: &str) -> Value {
    answer(agent().get(address).call())
}

fn agent() -> ureq::Agent {
    // The text of an error is in the answer. The driver is on this machine.
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut response = result.expect("chromedriver answers");
    let text = response.body_mut().with_config().limit(100_000_000).read_to_string().expect("an answer in UTF-8");
    let answer: Value = serde_json::from_str(&text).expect("an answer in JSON");
    assert!(response.status().is_success(), "{text}");
    answer["value"].clone()
}
