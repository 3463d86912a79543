//! The live page: it follows a search, and serves nothing else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::{Browser, Journal, Program, Running};

use super::report::{check_quiet, replayed};

/// A server of pages, which ends on drop.
pub struct Server {
    _running: Running,
    /// Address of its page, with the token if there is one.
    pub address: String,
}

impl Server {
    /// Host and port.
    pub fn place(&self) -> &str {
        self.address.trim_start_matches("http://").split('/').next().unwrap()
    }

    /// Asks for a path, with further lines in the header of the request; gives status and content.
    pub fn ask(&self, path: &str, header: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.place()).unwrap();
        let host = if header.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.place()) };
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{header}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }
}

/// Twenty thousand networks are read before the first line is printed.
const PATIENCE: Duration = Duration::from_secs(240);

/// Serves runs at a free port of this machine.
pub fn serve(folder: &Path, arguments: &[&str]) -> Server {
    let mut listen = vec!["serve"];
    listen.extend(arguments);
    if !arguments.contains(&"--listen") {
        listen.extend(["--listen", "127.0.0.1:0"]);
    }
    let mut running = Program::new(folder).args(&listen).begin(folder, "serve");
    let start = Instant::now();
    loop {
        let printed = fs::read_to_string(folder.join("serve.out")).unwrap_or_default();
        if let Some(address) = printed.lines().next().filter(|_| printed.contains('\n')) {
            let address = address.split(' ').next().unwrap().to_owned();
            return Server { _running: running, address };
        }
        let is_late = start.elapsed() > PATIENCE;
        assert!(running.is_running() && !is_late, "late: {is_late}\n{}", running.messages());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_page_follows_its_search() {
    let Some(browser) = Browser::start(1200, 900, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    let search = ["--evaluations", "60", "--set", "training.epochs=2", "--set", "data.limit=600", "--out", "run"];
    let mut search = Program::new(folder.path()).args(search).begin(folder.path(), "search");
    let journal = folder.path().join("run/measurements.csv");
    let count = || if journal.exists() { Journal::read_whole_lines(&journal).ended().len() as u64 } else { 0 };
    while !folder.path().join("run/config.toml").exists() || !journal.exists() {
        assert!(search.is_running(), "{}", search.messages());
        thread::sleep(Duration::from_millis(20));
    }
    let server = serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready");
    // An empty search says so, and a new network appears.
    let shown = || browser.value("page.document.runs[0].evaluations").as_u64().unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let before = count();
        while count() == before {
            assert!(search.is_running(), "{}", search.messages());
            thread::sleep(Duration::from_millis(10));
        }
        let (wanted, since) = (count(), Instant::now());
        while shown() < wanted {
            assert!(since.elapsed() < Duration::from_secs(20), "{} networks are shown, not {wanted}", shown());
            thread::sleep(Duration::from_millis(20));
        }
        slowest = slowest.max(since.elapsed());
    }
    println!("a new network was shown after {slowest:?} at most");
    assert_eq!(browser.value("page.document.runs[0].state"), "running");
    assert!(browser.value("page.document.runs[0].watch.jobs.length").as_u64().unwrap() > 0, "something is under way");
    search.terminate();
    search.end();
    browser.wait_for("page.document.runs[0].state === 'finished'");
    assert!(browser.value("Object.keys(page.document.runs[0].curves).length").as_u64().unwrap() > 0);
    check_quiet(&browser, &server.address);
}

#[test]
fn an_empty_search_has_a_page() {
    let Some(browser) = Browser::start(400, 800, false) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    let journal = folder.path().join("run/measurements.csv");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{}\n", text.lines().next().unwrap())).unwrap();
    let server = serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready");
    let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= 400, "a phone does not scroll sideways: {wide} pixels");
    check_quiet(&browser, &server.address);
}

#[test]
fn a_search_whose_networks_all_failed_has_a_page_with_the_reasons() {
    let Some(browser) = Browser::start(400, 800, true) else { return };
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    let path = folder.path().join("run/measurements.csv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut failed = format!("{}\n", header.join(","));
    for (number, line) in lines.enumerate() {
        let architecture = line.split(',').nth(2).unwrap();
        let cell = |name: &&str| match *name {
            "evaluation" => number.to_string(),
            "architecture" => architecture.to_owned(),
            "status" => "failed".to_owned(),
            "message" => "the board is on fire".to_owned(),
            _ => String::new(),
        };
        failed.push_str(&format!("{}\n", header.iter().map(cell).collect::<Vec<_>>().join(",")));
    }
    fs::write(&path, &failed).unwrap();
    let server = serve(folder.path(), &["run"]);
    browser.open(&server.address);
    browser.wait_for("window.page && page.ready");
    let networks = failed.lines().count() as u64 - 1;
    assert_eq!(browser.value("page.model.shown.size"), networks);
    browser.run("openNetwork(page.model.shown, 0);");
    browser.wait_for("document.getElementById('network').textContent.includes('the board is on fire')");
    check_quiet(&browser, &server.address);
}

#[test]
fn nothing_but_the_page_and_its_data_is_served() {
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    fs::write(folder.path().join("secret.txt"), "a secret").unwrap();
    let server = serve(folder.path(), &["run"]);
    assert_eq!(server.ask("/", "").0, 200);
    assert_eq!(server.ask("/document.json", "").0, 200);
    assert_eq!(server.ask("/network/0/3.json", "").0, 200);
    for path in [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/network/0/../../../secret.txt",
        "/network/0/..%2f..%2fsecret.txt",
        "/network/0/%2e%2e%2fsecret.json",
        "/network/7/3.json",
        "/network/0/99999.json",
        "/network/0/-1.json",
        "/run/config.toml",
        "//etc/passwd",
        "/document.json/../../secret.txt",
    ] {
        let (status, answer) = server.ask(path, "");
        assert!((400..500).contains(&status) && !answer.contains("a secret"), "{path}: {answer}");
    }
    for (name, header) in [
        ("another name of this machine", "Host: evil.example\r\n"),
        ("another origin", "Origin: http://evil.example\r\n"),
        ("another site", "Sec-Fetch-Site: cross-site\r\n"),
    ] {
        let (status, answer) = server.ask("/document.json", header);
        assert!(status == 403 && !answer.contains("networks"), "{name}: {answer}");
    }
    let (_, answer) = server.ask("/document.json", "");
    assert!(!answer.to_lowercase().contains("access-control-allow-origin"), "{answer}");
}

#[test]
fn beyond_this_machine_a_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    replayed(folder.path(), "run", &[]);
    let server = serve(folder.path(), &["run", "--listen", "0.0.0.0:0"]);
    let (_, token) = server.address.split_once("?token=").expect("an address with a token");
    let port = server.place().rsplit(':').next().unwrap();
    let here = Server { address: format!("http://127.0.0.1:{port}/"), ..server };
    for path in ["/", "/document.json", "/events", "/network/0/1.json", "/?token=0123456789abcdef"] {
        let (status, answer) = here.ask(path, "");
        assert!(status == 401 && !answer.contains("networks"), "{path}: {answer}");
    }
    let token = token.to_owned();
    let (status, answer) = here.ask(&format!("/?token={token}"), "");
    assert!(status == 303 && answer.contains("HttpOnly; SameSite=Strict"), "{answer}");
    assert_eq!(here.ask("/document.json", &format!("Cookie: token={token}\r\n")).0, 200);
}
