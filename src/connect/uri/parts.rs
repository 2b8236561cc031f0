//! The parts of a connection string, and what is wrong with each.

use std::collections::HashMap;

use futures_util::FutureExt;
use mongodb::options::{ClientOptions, ConnectionString, ServerAddress, Tls, TlsOptions};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::connect::uri::options::{Treatment, known, missing_mechanism, unknown};

/// Where a string begins that is none of MongoDB's.
const EXPECTED: &str = "a connection string mongodb://host:port/database or mongodb+srv://...";

/// The characters that must be percent-encoded in a user and a password.
const RESERVED: [char; 7] = [':', '/', '?', '#', '[', ']', '@'];

const ALLOW_INVALID_HOSTNAMES: &str = "tlsAllowInvalidHostnames";

/// Options of which a driver takes only one, as MongoDB's specification has it.
const AT_ODDS: &[(&str, &str)] = &[
    ("tlsInsecure", "tlsAllowInvalidCertificates"),
    ("tlsInsecure", "tlsAllowInvalidHostnames"),
    ("tlsInsecure", "tlsDisableOCSPEndpointCheck"),
    ("tlsInsecure", "tlsDisableCertificateRevocationCheck"),
    ("tlsAllowInvalidCertificates", "tlsDisableOCSPEndpointCheck"),
    ("tlsAllowInvalidCertificates", "tlsDisableCertificateRevocationCheck"),
    ("tlsDisableOCSPEndpointCheck", "tlsDisableCertificateRevocationCheck"),
];

/// The options that the driver is told, each with its value decoded.
pub type Options = Vec<(&'static str, String)>;

fn value<'o>(options: &'o Options, name: &str) -> Option<&'o str> {
    options.iter().rfind(|(option, _)| *option == name).map(|(_, value)| value.as_str())
}

/// The parts of a connection string as they stand there.
pub struct Parts<'u> {
    scheme: &'u str,
    /// The user and the password.
    pub login: Option<&'u str>,
    hosts: &'u str,
    database: &'u str,
    options: &'u str,
}

impl<'u> Parts<'u> {
    /// Takes a string apart.
    pub fn split(text: &'u str) -> Result<Parts<'u>, String> {
        if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
            return Err("no quotes around it; `docker run --env-file` keeps them".to_owned());
        }
        let (scheme, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| ["mongodb", "mongodb+srv"].contains(scheme))
            .ok_or(EXPECTED)?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        // A `?` in the password: what follows it is no option.
        let is_option =
            |pair: &str| pair.split_once('=').is_some_and(|(name, _)| known(name).is_some());
        let mut pairs = options.split(['&', ';']);
        if login.is_none() && pairs.any(|pair| pair.contains('@') && !is_option(pair)) {
            return Err(percent_encoded("password"));
        }
        Ok(Parts { scheme, login, hosts, database, options })
    }

    fn is_srv(&self) -> bool {
        self.scheme == "mongodb+srv"
    }

    /// What is wrong with the user and the password.
    pub fn check_login(&self) -> Vec<String> {
        let Some(login) = self.login else { return Vec::new() };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut problems = Vec::new();
        if user.is_empty() {
            problems.push("a user before the `@`".to_owned());
        }
        for (part, text) in [("user", user), ("password", password)] {
            if !is_percent_encoded(text) {
                problems.push(percent_encoded(part));
            }
        }
        problems
    }

    /// What is wrong with the hosts.
    pub fn check_hosts(&self) -> Vec<String> {
        let hosts: Vec<&str> = self.hosts.split(',').collect();
        let mut problems = Vec::new();
        for (place, host) in hosts.iter().enumerate() {
            let is_address = ServerAddress::parse(host).is_ok();
            let is_odd = !host.ends_with(".sock")
                && host.contains(|c: char| c.is_whitespace() || "\"'%\\".contains(c));
            if !is_address || is_odd {
                let place = place + 1;
                problems.push(format!(
                    "host {place} of {} to be host or host:port with a port from 1 to 65535, and IPv6 \
                     addresses in brackets",
                    hosts.len()
                ));
            }
        }
        if self.is_srv() && (hosts.len() > 1 || self.hosts.contains([':', '/'])) {
            problems.push("one host without a port after mongodb+srv://".to_owned());
        }
        problems
    }

    /// The options that the driver is told.
    pub fn options(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) -> Options {
        let separator = if self.options.contains('&') { '&' } else { ';' };
        let mut used: Options = Vec::new();
        let mut given: HashMap<&str, String> = HashMap::new();
        for pair in self.options.split(separator).filter(|pair| !pair.is_empty()) {
            let Some((name, raw)) = pair.split_once('=') else {
                problems.push(format!("options NAME=VALUE, and {} is none", shown(pair)));
                continue;
            };
            let Ok(text) = percent_decode_str(raw).decode_utf8() else {
                problems.push(format!("the value of {} in UTF-8", shown(name)));
                continue;
            };
            let Some((name, treatment)) = known(name) else {
                match unknown(name) {
                    Some(why) => {
                        notes.push(format!("the option {} is ignored: {why}", shown(name)));
                    }
                    None => problems.push(format!(
                        "no option {}, which is not known and may be meant to keep the connection safe",
                        shown(name)
                    )),
                }
                continue;
            };
            let before =
                given.insert(name, text.to_string()).filter(|_| *name != "readPreferenceTags");
            let differs = before.as_ref().is_some_and(|before| *before != text);
            match treatment {
                Treatment::Ignored(why) => {
                    if before.is_none() {
                        notes.push(format!("the option {name} is ignored: {why}"));
                    }
                }
                Treatment::Refused(why) => problems.push(format!("no option {name}: {why}")),
                // pymongo's word for none of them.
                Treatment::Vital(_) if *name == "authMechanism" && text == "DEFAULT" => {}
                Treatment::Vital(form) => match form.accept(&text) {
                    Some(_) if differs => {
                        problems.push(format!("the option {name} once, and two values are given"));
                    }
                    Some(value) => replace(&mut used, name, value, before.is_some()),
                    None => {
                        let missing = match *name {
                            "authMechanism" => missing_mechanism(&text),
                            _ => "",
                        };
                        let expected = form.expected();
                        problems.push(format!("the option {name} to be {expected}{missing}"));
                    }
                },
                Treatment::Used(form) => match form.accept(&text) {
                    Some(value) => {
                        if differs {
                            notes.push(format!("of several values of {name} the last one counts"));
                        }
                        replace(&mut used, name, value, before.is_some());
                    }
                    // As if it were not given.
                    None if *name == "maxStalenessSeconds" && text == "-1" => {}
                    None => notes.push(format!(
                        "the option {name} is ignored: its value should be {}",
                        form.expected()
                    )),
                },
            }
        }
        problems.extend(at_odds(&given));
        if value(&used, "readPreference").unwrap_or("primary") == "primary" {
            for name in ["maxStalenessSeconds", "readPreferenceTags"] {
                if value(&used, name).is_some() {
                    used.retain(|(other, _)| *other != name);
                    notes.push(format!("the option {name} is ignored: the primary is read"));
                }
            }
        }
        used
    }

    /// Looks at what fits only together.
    pub fn check_together(&self, options: &Options, problems: &mut Vec<String>) {
        let is_on = |name: &str| value(options, name) == Some("true");
        let several = self.hosts.contains(',');
        if is_on("directConnection") && (several || self.is_srv()) {
            problems.push("directConnection=true only beside one host of mongodb://".to_owned());
        }
        if is_on("loadBalanced") {
            if several {
                problems.push("loadBalanced=true only beside one host".to_owned());
            }
            for other in ["directConnection", "replicaSet"] {
                if value(options, other).is_some_and(|value| value != "false") {
                    problems.push(format!("not both loadBalanced=true and {other}"));
                }
            }
        }
        for name in ["srvMaxHosts", "srvServiceName"] {
            if !self.is_srv() && value(options, name).is_some() {
                problems.push(format!("{name} only beside mongodb+srv://"));
            }
        }
        if value(options, "srvMaxHosts").is_some_and(|hosts| hosts != "0")
            && (value(options, "replicaSet").is_some() || is_on("loadBalanced"))
        {
            problems.push("not both srvMaxHosts and replicaSet or loadBalanced=true".to_owned());
        }
        let mechanism = value(options, "authMechanism");
        let needs_no_password = [Some("MONGODB-X509"), Some("MONGODB-OIDC")].contains(&mechanism);
        match self.login {
            Some(login) if !login.contains(':') && !needs_no_password => {
                problems.push("a password beside the user".to_owned());
            }
            Some(login) if login.contains(':') && needs_no_password => {
                let mechanism = mechanism.unwrap_or_default();
                problems.push(format!("no password beside authMechanism={mechanism}"));
            }
            None if mechanism.is_some() && !needs_no_password => {
                let mechanism = mechanism.unwrap_or_default();
                problems.push(format!("a user and a password beside authMechanism={mechanism}"));
            }
            _ => {}
        }
        let properties = value(options, "authMechanismProperties").unwrap_or_default();
        if mechanism == Some("MONGODB-OIDC") && properties != "ENVIRONMENT:k8s" {
            problems.push(
                "authMechanismProperties=ENVIRONMENT:k8s beside authMechanism=MONGODB-OIDC: no other place \
                 of tokens is built in"
                    .to_owned(),
            );
        }
    }

    /// What the driver makes of it.
    pub fn connection(&self, options: &Options) -> Result<ConnectionString, String> {
        let written: Vec<String> = options
            .iter()
            .filter(|(name, _)| {
                // The driver takes it for at odds with the other, and nothing is written.
                let is_at_odds = *name == "journal" && value(options, "w") == Some("0");
                !is_at_odds && *name != ALLOW_INVALID_HOSTNAMES
            })
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let login = self.login.map(|login| format!("{login}@")).unwrap_or_default();
        let Parts { scheme, hosts, database, .. } = self;
        let written = written.join("&");
        let refused = |error: mongodb::error::Error| {
            let said = error.kind.to_string();
            let said = said.strip_prefix("An invalid argument was provided: ").unwrap_or(&said);
            let secrets = [self.login.unwrap_or_default().to_owned()];
            let passwords = value(options, "tlsCertificateKeyFilePassword");
            let parts = secrets.iter().flat_map(|login| login.split(':')).chain(passwords);
            let tells = |part: &str| !part.is_empty() && said.contains(part);
            if parts.into_iter().any(tells) {
                EXPECTED.to_owned()
            } else {
                format!("another one: {said}")
            }
        };
        let uri = format!("{scheme}://{login}{hosts}/{database}?{written}");
        let mut connection = ConnectionString::parse(uri).map_err(refused)?;
        // The driver has this for its options, but does not read it in a connection string.
        if let Some(allowed) = value(options, ALLOW_INVALID_HOSTNAMES) {
            let on = connection.tls.get_or_insert_with(|| Tls::Enabled(TlsOptions::default()));
            if let Tls::Enabled(tls) = on {
                tls.allow_invalid_hostnames = Some(allowed == "true");
            }
        }
        if !self.is_srv() {
            // The rest of the driver's checks, which look nothing up where the hosts are given.
            if let Some(Err(error)) =
                ClientOptions::parse(connection.clone()).into_future().now_or_never()
            {
                return Err(refused(error));
            }
        }
        Ok(connection)
    }
}

fn at_odds(given: &HashMap<&str, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (one, other) in AT_ODDS {
        if given.contains_key(one) && given.contains_key(other) {
            problems.push(format!("not both {one} and {other}"));
        }
    }
    let off =
        ["tls", "ssl"].into_iter().find(|name| given.get(name).is_some_and(|tls| tls == "false"));
    if let Some(off) = off {
        let mut others: Vec<&&str> = given
            .iter()
            .filter(|(name, value)| {
                name.starts_with("tls") && !(**name == "tls" && *value == "false")
                    || **name == "ssl" && *value == "true"
            })
            .map(|(name, _)| name)
            .collect();
        others.sort();
        if let Some(other) = others.first() {
            problems.push(format!("not both {off}=false and {other}"));
        }
    }
    problems
}

fn replace(used: &mut Options, name: &'static str, value: String, again: bool) {
    if again {
        used.retain(|(other, _)| *other != name);
    }
    used.push((name, value));
}

fn percent_encoded(part: &str) -> String {
    format!(
        "the {part} percent-encoded, which means %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %5B \
         for [, %5D for ] and %25 for %"
    )
}

fn is_percent_encoded(text: &str) -> bool {
    let is_byte = |after: &str| {
        after.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    !text.contains(RESERVED)
        && text.split('%').skip(1).all(is_byte)
        && percent_decode_str(text).decode_utf8().is_ok()
}

/// The name of an option as it can be told: what is no name may be a piece of a password.
fn shown(name: &str) -> &str {
    let is_name = name.len() <= 40
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && name.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_name { name } else { "(not a name)" }
}
