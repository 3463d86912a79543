//! The rules of access to a page: this machine, or a browser with the token; and only the page of this server itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng as _;

/// A secret that a browser shows once, in the address, and from then on in a cookie.
#[derive(Clone)]
pub(crate) struct Token(String);

/// Name of the cookie, and of the parameter in the address.
const TOKEN: &str = "token";

impl Token {
    /// A token that cannot be guessed.
    pub fn random() -> Self {
        let mut bytes = [0_u8; 16];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A given token: 16 letters and digits or more, which need no quotes in an address.
    pub fn given(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_plain && text.len() >= 16).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on the place of a difference.
    fn is(&self, other: &str) -> bool {
        let differing = self.0.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        differing == 0 && self.0.len() == other.len()
    }
}

/// The rules of a server.
pub(super) struct Guard {
    /// `None` where only this machine can connect.
    pub token: Option<Token>,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Admitted,
    /// The token was in the address: it goes into a cookie.
    Remembered,
    Rejected(StatusCode, &'static str),
}

/// Admits a request or rejects it, and adds the headers that keep other sites out.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.judge(request.method(), request.uri(), request.headers()) {
        Verdict::Admitted => next.run(request).await,
        Verdict::Remembered => guard.remember(),
        Verdict::Rejected(status, reason) => (status, format!("{reason}\n")).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

impl Guard {
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if method != Method::GET && method != Method::HEAD {
            return Verdict::Rejected(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        }
        let host = text(header::HOST).unwrap_or_default();
        if let Some(origin) = text(header::ORIGIN)
            && origin.strip_prefix("http://") != Some(host)
        {
            return Verdict::Rejected(StatusCode::FORBIDDEN, "another site may not read this page");
        }
        if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") && uri.path() != "/" {
            return Verdict::Rejected(StatusCode::FORBIDDEN, "another site may not read this page");
        }
        let Some(token) = &self.token else {
            // Another name that leads to this machine is that of a site that lets a browser read what it may not.
            return if is_local(host) {
                Verdict::Admitted
            } else {
                Verdict::Rejected(StatusCode::FORBIDDEN, "this page is served at localhost")
            };
        };
        let in_address = uri.query().and_then(|query| query.split('&').find_map(|part| value_of(part, TOKEN)));
        if in_address.is_some_and(|given| token.is(given)) {
            return Verdict::Remembered;
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut given = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| value_of(cookie, TOKEN));
        if given.any(|given| token.is(given)) {
            return Verdict::Admitted;
        }
        Verdict::Rejected(StatusCode::UNAUTHORIZED, "open the address with the token that `controller serve` printed")
    }

    /// Puts the token into a cookie, and out of the address.
    fn remember(&self) -> Response {
        let token = self.token.as_ref().map_or("", Token::as_str);
        let cookie = format!("{TOKEN}={token}; HttpOnly; SameSite=Strict; Path=/");
        (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())]).into_response()
    }
}

/// The value in `name=value`.
fn value_of<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    part.trim().strip_prefix(name)?.strip_prefix('=')
}

/// Whether the host of a request is a name of this machine, at any port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(token: Option<&str>, address: &str, headers: &[(&'static str, &str)]) -> Verdict {
        let guard = Guard { token: token.map(|token| Token::given(token).unwrap()) };
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        guard.judge(&Method::GET, &address.parse().unwrap(), &all)
    }

    const SECRET: &str = "0123456789abcdef";

    #[test]
    fn without_a_token_only_names_of_this_machine_are_admitted() {
        for host in ["localhost:7878", "127.0.0.1", "127.0.0.1:1", "[::1]:7878", "LOCALHOST"] {
            assert_eq!(judged(None, "/", &[("host", host)]), Verdict::Admitted, "{host}");
        }
        for host in ["evil.example:7878", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.4", ""] {
            assert!(matches!(judged(None, "/", &[("host", host)]), Verdict::Rejected(StatusCode::FORBIDDEN, _)));
        }
        assert!(matches!(judged(None, "/", &[]), Verdict::Rejected(..)));
    }

    #[test]
    fn other_origins_may_not_read() {
        let own = [("host", "localhost:1"), ("origin", "http://localhost:1")];
        assert_eq!(judged(None, "/document.json", &own), Verdict::Admitted);
        for origin in ["http://localhost:2", "https://localhost:1", "http://evil.example", "null"] {
            let found = judged(None, "/document.json", &[("host", "localhost:1"), ("origin", origin)]);
            assert!(matches!(found, Verdict::Rejected(StatusCode::FORBIDDEN, _)), "{origin}");
        }
        let found = judged(None, "/events", &[("host", "localhost:1"), ("sec-fetch-site", "cross-site")]);
        assert!(matches!(found, Verdict::Rejected(..)));
    }

    #[test]
    fn a_token_is_asked_for_and_goes_from_the_address_into_a_cookie() {
        let host = ("host", "lab:1");
        let refused = |verdict| matches!(verdict, Verdict::Rejected(StatusCode::UNAUTHORIZED, _));
        assert!(refused(judged(Some(SECRET), "/", &[host])));
        assert!(refused(judged(Some(SECRET), "/?token=0123456789abcdeX", &[host])));
        assert!(refused(judged(Some(SECRET), "/?token=0123456789abcde", &[host])));
        assert!(refused(judged(Some(SECRET), "/?token=", &[host, ("cookie", "token=; nottoken=0123456789abcdef")])));
        assert_eq!(judged(Some(SECRET), "/?a=b&token=0123456789abcdef", &[host]), Verdict::Remembered);
        let cookie = ("cookie", "other=1; token=0123456789abcdef");
        assert_eq!(judged(Some(SECRET), "/document.json", &[host, cookie]), Verdict::Admitted);
    }

    #[test]
    fn the_page_is_only_read() {
        let guard = Guard { token: None };
        let headers: HeaderMap = [(header::HOST, "localhost".parse().unwrap())].into_iter().collect();
        let found = guard.judge(&Method::POST, &"/".parse().unwrap(), &headers);
        assert!(matches!(found, Verdict::Rejected(StatusCode::METHOD_NOT_ALLOWED, _)));
    }

    #[test]
    fn tokens_are_long_and_plain() {
        assert_eq!(Token::random().as_str().len(), 32);
        assert_ne!(Token::random().as_str(), Token::random().as_str());
        assert!(Token::given("short").is_none() && Token::given("0123456789abcde=").is_none());
    }
}
