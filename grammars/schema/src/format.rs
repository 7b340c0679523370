//! The formats that are enforced, as regular languages after the RFCs that JSON Schema names.
//!
//! Where the RFC's language is not regular, or only at an absurd size, ours is the part of it that is plain, never a
//! superset: leap seconds are allowed at `23:59:60` UTC only, and host names have no `--` in their third and fourth
//! place (which holds punycode, whose validity no automaton can check).

use std::sync::OnceLock;

use crate::Pattern;

/// What a format's name means here.
pub(crate) enum Found {
    /// A language, and the greatest length of its strings where the expression leaves that open.
    Pattern(Pattern, Option<u64>),
    /// A format of numbers, or one that every string has.
    Empty,
    /// A hint for people or programs that no language expresses, such as `password`.
    Annotation,
    /// Not enforceable, and why.
    Refused(String),
    /// A name that nobody defined.
    Unknown,
}

const DATE: &str = concat!(
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))",
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
);
const TIME: &str = concat!(
    r"(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    r"|23:59:60(?:\.\d+)?(?:[Zz]|[+-]00:00))"
);
const DURATION: &str = concat!(
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)(?:T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?",
    r"|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
);
const IPV4: &str = r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)";
/// One host name label: no hyphen at either end, none in third and fourth place together, at most 63 characters.
const LABEL: &str = concat!(
    r"[A-Za-z0-9](?:[A-Za-z0-9]?|[A-Za-z0-9-]{1,2}[A-Za-z0-9]",
    r"|[A-Za-z0-9-](?:[A-Za-z0-9][A-Za-z0-9-]|-[A-Za-z0-9])[A-Za-z0-9-]{0,58}[A-Za-z0-9])"
);
const PLAIN_LABEL: &str = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
/// Letters beyond ASCII that RFC 5892 allows in host names anywhere, whatever stands beside them: small Latin, Greek
/// and Cyrillic ones, kana, common Han characters and Hangul syllables.
const LETTERS: &str = r"\u00E0-\u00F6\u00F8-\u00FF\u03AC-\u03C1\u03C3-\u03CE\u0430-\u045F\u3041-\u3096\u30A1-\u30FA\u4E00-\u9FA5\uAC00-\uD7A3";
const UUID: &str = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
const POINTER: &str = r"(?:/(?:[^/~]|~[01])*)*";
/// Characters beyond ASCII that RFC 3987 allows.
const UCS: &str = concat!(
    r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF\u{10000}-\u{1FFFD}\u{20000}-\u{2FFFD}\u{30000}-\u{3FFFD}",
    r"\u{40000}-\u{4FFFD}\u{50000}-\u{5FFFD}\u{60000}-\u{6FFFD}\u{70000}-\u{7FFFD}\u{80000}-\u{8FFFD}",
    r"\u{90000}-\u{9FFFD}\u{A0000}-\u{AFFFD}\u{B0000}-\u{BFFFD}\u{C0000}-\u{CFFFD}\u{D0000}-\u{DFFFD}",
    r"\u{E1000}-\u{EFFFD}"
);
const PRIVATE: &str = r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}";

fn ipv6() -> String {
    let h = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{h}:{h}|{IPV4})");
    let mut cases = vec![format!("(?:{h}:){{6}}{last}"), format!("::(?:{h}:){{5}}{last}")];
    for before in 1..=5 {
        let groups = format!("(?:{h}(?::{h}){{0,{}}})?::", before - 1);
        cases.push(match 5 - before {
            0 => format!("{groups}{last}"),
            after => format!("{groups}(?:{h}:){{{after}}}{last}"),
        });
    }
    cases.push(format!("(?:{h}(?::{h}){{0,5}})?::{h}"));
    cases.push(format!("(?:{h}(?::{h}){{0,6}})?::"));
    format!("(?:{})", cases.join("|"))
}

/// RFC 3986 (`other` empty) or RFC 3987. `relative` also takes references without scheme.
fn uri(other: &str, private: &str, relative: bool) -> String {
    let escape = "%[0-9A-Fa-f]{2}";
    let free = format!(r"A-Za-z0-9._~{other}-");
    let sub = "!$&'()*+,;=";
    let pchar = format!("(?:[{sub}:@{free}]|{escape})");
    let segment_no_colon = format!("(?:[{sub}@{free}]|{escape})+");
    let user = format!("(?:[{sub}:{free}]|{escape})*");
    let name = format!("(?:[{sub}{free}]|{escape})*");
    let literal = format!(r"\[(?:{}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~{sub}:-]+)\]", ipv6());
    let authority = format!("(?:{user}@)?(?:{literal}|{name})(?::\\d*)?");
    let absolute_path = format!("/(?:{pchar}+(?:/{pchar}*)*)?");
    let hierarchy = format!("(?://{authority}(?:/{pchar}*)*|{absolute_path}|{pchar}+(?:/{pchar}*)*|)");
    let tail = format!("(?:\\?(?:{pchar}|[/?{private}])*)?(?:#(?:{pchar}|[/?])*)?");
    let full = format!("[A-Za-z][A-Za-z0-9+.-]*:{hierarchy}{tail}");
    if !relative {
        return full;
    }
    let part =
        format!("(?://{authority}(?:/{pchar}*)*|{absolute_path}|{segment_no_colon}(?:/{pchar}*)*|){tail}");
    format!("(?:{full}|{part})")
}

/// RFC 6570 with its errata (the apostrophe is a literal).
fn uri_template() -> String {
    let escape = "%[0-9A-Fa-f]{2}";
    let literal = format!(r"(?:[!#$&-;=?-\[\]_a-z~{UCS}{PRIVATE}]|{escape})");
    let var = format!("(?:[A-Za-z0-9_]|{escape})");
    let spec = format!(r"{var}(?:\.?{var})*(?::[1-9]\d{{0,3}}|\*)?");
    format!(r"(?:{literal}|\{{[+#./;?&=,!@|]?{spec}(?:,{spec})*\}})*")
}

/// Addresses after RFC 5321, or with `international` after RFC 6531: any character beyond ASCII before the `@`, and
/// labels of plain letters behind it.
fn email(international: bool) -> String {
    let (more, letters) = if international { (r"\u{80}-\u{10FFFF}", LETTERS) } else { ("", "") };
    let atom = format!("[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{more}-]+");
    let quoted = format!(r#""(?:[ !#-\[\]-~{more}]|\\[ -~])*""#);
    let label = match international {
        true => format!("(?:{LABEL}|[a-z0-9{letters}]{{1,15}})"),
        false => LABEL.to_owned(),
    };
    let domain = format!(r"(?:{label}(?:\.{label})*|\[(?:{IPV4}|IPv6:{})\])", ipv6());
    format!("(?:{atom}(?:\\.{atom})*|{quoted})@{domain}")
}

/// A name, its expression, and the pattern once it was asked for.
type Entry = (&'static str, fn() -> String, OnceLock<Option<Pattern>>);

/// The formats, by name, each built once per process.
static KNOWN: [Entry; 19] = [
    ("date", || DATE.into(), OnceLock::new()),
    ("time", || TIME.into(), OnceLock::new()),
    ("date-time", || format!("{DATE}[Tt]{TIME}"), OnceLock::new()),
    ("duration", || DURATION.into(), OnceLock::new()),
    ("email", || email(false), OnceLock::new()),
    ("idn-email", || email(true), OnceLock::new()),
    ("hostname", || format!(r"{LABEL}(?:\.{LABEL})*"), OnceLock::new()),
    ("rfc1123-hostname", || format!(r"{PLAIN_LABEL}(?:\.{PLAIN_LABEL})*"), OnceLock::new()),
    ("ipv4", || IPV4.into(), OnceLock::new()),
    ("ip-address", || IPV4.into(), OnceLock::new()),
    ("ipv6", ipv6, OnceLock::new()),
    ("uuid", || UUID.into(), OnceLock::new()),
    ("uri", || uri("", "", false), OnceLock::new()),
    ("uri-reference", || uri("", "", true), OnceLock::new()),
    ("iri", || uri(UCS, PRIVATE, false), OnceLock::new()),
    ("iri-reference", || uri(UCS, PRIVATE, true), OnceLock::new()),
    ("uri-template", uri_template, OnceLock::new()),
    ("json-pointer", || POINTER.into(), OnceLock::new()),
    ("relative-json-pointer", || format!(r"(?:0|[1-9]\d*)(?:#|{POINTER})"), OnceLock::new()),
];

/// Looks a format up. `plain_hosts` asks for host names as drafts before 7 have them: by RFC 1123 alone.
pub(crate) fn find(name: &str, plain_hosts: bool) -> Found {
    let name =
        if plain_hosts && matches!(name, "hostname" | "host-name") { "rfc1123-hostname" } else { name };
    if let Some((name, expression, cell)) = KNOWN.iter().find(|(known, ..)| *known == name) {
        let built = cell.get_or_init(|| Pattern::format(name, &format!("^(?:{})$", expression())).ok());
        return match built {
            Some(pattern) => Found::Pattern(pattern.clone(), name.ends_with("hostname").then_some(253)),
            None => Found::Refused("its expression could not be built; this is a bug".into()),
        };
    }
    match name {
        // OpenAPI's names for the width of numbers: they do not speak about strings.
        "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64" | "float"
        | "double" | "decimal" | "" => Found::Empty,
        "password" | "byte" | "binary" | "text" | "textarea" | "multiline" | "markdown" | "html"
        | "string" => Found::Annotation,
        "regex" => Found::Refused("valid regular expressions are not a regular language".into()),
        "idn-hostname" => Found::Refused("international host names cannot be checked by an automaton".into()),
        _ => Found::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, yes: &[&str], no: &[&str]) {
        let Found::Pattern(pattern, _) = find(name, false) else { panic!("{name} is not built") };
        yes.iter().for_each(|text| assert!(pattern.is_match(text), "{text:?} is a {name}"));
        no.iter().for_each(|text| assert!(!pattern.is_match(text), "{text:?} is not a {name}"));
    }

    #[test]
    fn every_known_format_builds() {
        for (name, ..) in &KNOWN {
            assert!(matches!(find(name, false), Found::Pattern(..)), "{name}");
        }
    }

    #[test]
    fn dates_and_times() {
        check(
            "date",
            &["2024-02-29", "2000-02-29", "1999-12-31", "2023-04-30"],
            &["2023-02-29", "1900-02-29", "2023-04-31", "2023-13-01", "23-01-01", "2023-1-01", "২023-01-01"],
        );
        check(
            "time",
            &["08:30:06Z", "08:30:06.28+02:00", "23:59:60Z", "00:00:00-23:59"],
            &["08:30:06", "24:00:00Z", "22:59:60Z", "08:30:06.Z", "08:30:06+24:00"],
        );
        check(
            "date-time",
            &["1963-06-19T08:30:06.283185Z", "1998-12-31T23:59:60Z"],
            &["1963-06-19 08:30:06Z"],
        );
        check(
            "duration",
            &["P4DT12H30M5S", "PT36H", "P1W", "P1Y2M3D", "P0D"],
            &["PT1D", "P", "P1YT", "P2D1Y", "P1Y2W", "4DT12H", "P1Y2D"],
        );
    }

    #[test]
    fn addresses() {
        check("ipv4", &["0.0.0.0", "255.249.199.9"], &["256.0.0.1", "01.1.1.1", "1.1.1"]);
        check(
            "ipv6",
            &[
                "::",
                "::1",
                "1::",
                "1:2:3:4:5:6:7:8",
                "::ffff:1.2.3.4",
                "1::8",
                "1:2:3:4:5:6:7::",
                "::2:3:4:5:6:7:8",
            ],
            &[
                "1:2:3:4:5:6:7",
                "1::2::3",
                ":::",
                "12345::",
                "1:2:3:4:5:6:7:8:9",
                "::1.2.3",
                "fe80::1%eth0",
                ":1",
            ],
        );
        check(
            "hostname",
            &["a", "a1", "a-b", "www.example.com", "a1b2c3", "ab-c", "abc-d", "a--b", "0", "ab"],
            &["", "-a", "a-", "a..b", ".a", "a.", "ab--c", "a_b", "é.com"],
        );
        let long = "a".repeat(63);
        check("hostname", &[&long], &[&format!("{long}a")]);
        check(
            "email",
            &["joe@example.com", "a+b.c@d", "\"joe bloggs\"@example.com", "j@[127.0.0.1]", "j@[IPv6:::1]"],
            &["joe", "@a", ".a@b", "a.@b", "a..b@c", "joe@a=b", "joe bloggs@example.com"],
        );
        check(
            "idn-email",
            &["실례@실례.테스트", "joe@example.com", "jörg@bücher.de", "ありす@日本.jp"],
            &["2962", "실례", "a@Ü.de", "a@b‿c.de", "a@-ü.de", "ö..b@c"],
        );
    }

    #[test]
    fn identifiers() {
        check("uuid", &["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], &["2eb8aa08aa9811eab4aa73b441d16380"]);
        check(
            "uri",
            &[
                "http://foo.bar/?q=Test%20URL#x",
                "urn:isbn:1",
                "ldap://[2001:db8::7]/c=GB?one",
                "tel:+1-816",
                "a:",
            ],
            &[
                "//foo",
                "/abc",
                "\\\\a",
                "http:// x",
                "http://a b",
                ":// x",
                "bar,baz:a",
                "http://x/%zz",
                "a<b:",
            ],
        );
        check("uri-reference", &["/abc", "#f", "", "a/b:c", "//h:80", "http://x"], &["\\\\a", "#a\\b", "é"]);
        check("iri", &["http://ƒøø.ßår/?∂éœ=πîx#πîüx"], &["/abc"]);
        check("uri-template", &["http://x/{a}/{b*}", "{+x,y:3}", ""], &["http://x/{a}/{b", "{}", "a b"]);
        check("json-pointer", &["", "/", "/foo/~0~1/ "], &["a", "/~", "/~2"]);
        check("relative-json-pointer", &["0", "1#", "2/a~0"], &["", "-1", "01", "0##", "/a"]);
    }
}
