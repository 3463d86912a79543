//! Downloads a file with a published checksum.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::Error;
use md5::{Digest, Md5};
use ureq::Agent;
use ureq::tls::{TlsConfig, TlsProvider};

/// A client that waits for a slow server, but not for one that is silent.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .tls_config(TlsConfig::builder().provider(TlsProvider::NativeTls).build())
        .build()
        .into()
}

/// Fetches `url` to `target` unless the file is already there with the right checksum. The download has a temporary name
/// beside it, is renamed when the MD5 (hexadecimal, lower case) is right and removed otherwise.
///
/// MD5 guards against damage, not against forgery; the authors of the data sets publish no other checksum.
pub(super) fn fetch(
    agent: &Agent,
    url: &str,
    md5: &str,
    target: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Error> {
    let read_error = |error| Error::io("read", target)(error);
    if target.is_file() && md5_of(&mut File::open(target).map_err(read_error)?, read_error, |_| Ok(()))? == md5 {
        return Ok(());
    }
    let failed = |reason: String| Error::new(format_args!("cannot download {url}"), reason);
    let mut response = agent.get(url).call().map_err(|error| failed(error.to_string()))?;
    let total = response.body().content_length();
    // With the process id, because two downloads may run at once.
    let part = target.with_added_extension(format!("{}.part", std::process::id()));
    let mut file = File::create(&part).map_err(Error::io("create", &part))?;
    let done = Cell::new(0);
    progress(0, total);
    let broken = |error| failed(format!("it broke off after {} bytes: {error}", done.get()));
    let received = md5_of(&mut response.body_mut().as_reader(), broken, |piece| {
        file.write_all(piece).map_err(Error::io("write", &part))?;
        done.set(done.get() + piece.len() as u64);
        progress(done.get(), total);
        Ok(())
    });
    let kept = received.and_then(|found| match total.filter(|total| *total != done.get()) {
        Some(total) => Err(failed(format!("it broke off after {} of {total} bytes", done.get()))),
        None if found != md5 => {
            Err(Error(format!("{url} has the MD5 {found}, not {md5} as published: nothing was kept; try again later")))
        }
        None => {
            file.sync_all().map_err(Error::io("write", &part))?;
            fs::rename(&part, target).map_err(Error::io("rename", &part))
        }
    });
    if kept.is_err() {
        // That error is the one to report.
        let _ = fs::remove_file(&part);
    }
    kept
}

/// The MD5 of everything that a source gives; `take` receives each piece.
fn md5_of(
    source: &mut dyn Read,
    broken: impl Fn(io::Error) -> Error,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer).map_err(&broken)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => {
                hasher.update(&buffer[..read]);
                take(&buffer[..read])?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const BODY: &[u8] = b"hello world";
    const BODY_MD5: &str = "5eb63bbbe01eeed093cb22bb8f5acdc3";

    /// A server that gives one answer to one request, and its address.
    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = BufReader::new(stream.try_clone().unwrap());
            assert!(request.lines().map_while(Result::ok).any(|line| line.is_empty()));
            stream.write_all(&answer).unwrap();
        });
        url
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    /// The progress reports of one download.
    type Steps = Vec<(u64, Option<u64>)>;

    /// Downloads into an empty folder: the content, the progress, and the number of files afterwards.
    fn fetch_from(url: &str, md5: &str) -> (Result<Vec<u8>, String>, Steps, usize) {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        let mut steps = Vec::new();
        // The proxy of the machine must not come between the test and its own server.
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let fetched = fetch(&agent, url, md5, &target, &mut |done, total| steps.push((done, total)));
        let result = fetched.map(|()| fs::read(&target).unwrap()).map_err(|error| error.to_string());
        (result, steps, fs::read_dir(dir.path()).unwrap().count())
    }

    #[test]
    fn a_file_is_fetched_checked_and_renamed() {
        let (result, steps, files) = fetch_from(&serve(answer("200 OK", 11, BODY)), BODY_MD5);
        assert_eq!(result.as_deref(), Ok(BODY));
        assert_eq!((steps.first(), steps.last()), (Some(&(0, Some(11))), Some(&(11, Some(11)))));
        assert_eq!(files, 1);
    }

    #[test]
    fn a_packed_file_stays_packed_under_any_content_encoding() {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 11\r\n\r\n".to_vec();
        answer.extend_from_slice(BODY);
        assert_eq!(fetch_from(&serve(answer), BODY_MD5).0.as_deref(), Ok(BODY));
    }

    #[test]
    fn a_wrong_checksum_leaves_nothing() {
        let (result, _, files) = fetch_from(&serve(answer("200 OK", 11, b"hello there")), BODY_MD5);
        let error = result.unwrap_err();
        assert!(error.contains(&format!("not {BODY_MD5} as published")), "{error}");
        assert_eq!(files, 0);
    }

    #[test]
    fn a_transfer_that_breaks_off_leaves_nothing() {
        let (result, _, files) = fetch_from(&serve(answer("200 OK", 5000, BODY)), BODY_MD5);
        let error = result.unwrap_err();
        assert!(error.contains("it broke off after 11 "), "{error}");
        assert_eq!(files, 0);
    }

    #[test]
    fn a_missing_file_and_a_missing_server_are_named() {
        let url = serve(answer("404 Not Found", 0, b""));
        let (result, steps, files) = fetch_from(&url, BODY_MD5);
        let error = result.unwrap_err();
        assert!(error.starts_with(&format!("cannot download {url}: ")) && error.contains("404"), "{error}");
        assert_eq!((steps.len(), files), (0, 0));
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(fetch_from(&format!("http://{unused}/file"), BODY_MD5).0.is_err());
    }

    #[test]
    fn a_whole_file_is_kept_and_a_damaged_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        fs::write(&target, BODY).unwrap();
        fetch(&agent, "http://127.0.0.1:1/never-asked", BODY_MD5, &target, &mut |_, _| ()).unwrap();
        fs::write(&target, "damaged").unwrap();
        fetch(&agent, &serve(answer("200 OK", 11, BODY)), BODY_MD5, &target, &mut |_, _| ()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), BODY);
    }
}
