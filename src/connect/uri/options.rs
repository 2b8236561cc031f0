//! The options of a connection string, each with what becomes of it.
//!
//! The list is that of MongoDB's specification of connection strings, of the Rust driver and of pymongo.

use std::ops::RangeInclusive;

/// What becomes of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum Treatment {
    /// The driver is told; a value of another form is left out, as MongoDB's specification wants it.
    Used(Form),
    /// The driver is told; a value of another form is refused, since it decides who is talked to, how safely
    /// or about what.
    Vital(Form),
    /// It is left out.
    Ignored(&'static str),
    /// It cannot be done, and going on without it would do harm.
    Refused(&'static str),
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Text of up to so many bytes that is not empty.
    Text(usize),
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// One of these words, in capitals or not.
    OneOf(&'static [&'static str]),
    /// `key:value,key:value`, or nothing.
    Tags,
}

use Form::{Number, OneOf, Switch, Tags, Text};
use Treatment::{Ignored, Refused, Used, Vital};

const MILLISECONDS: Form = Number(0..=u32::MAX as u64);
const ANY_TEXT: Form = Text(usize::MAX);

const AT_INTERVALS: &str = "every question has a limit of its own";
const UNCOMPRESSED: &str = "nothing is compressed";
const NO_REVOCATION: &str = "revocation is not asked for";
const OF_PYTHON: &str = "it is of Python alone";
const NOT_WRITTEN: &str = "nothing is written";
const NO_PROXY: &str =
    "connections through a proxy are not supported, and going round it may not be meant";

/// The ways to log in.
pub const MECHANISMS: &[&str] =
    &["SCRAM-SHA-256", "SCRAM-SHA-1", "MONGODB-X509", "PLAIN", "MONGODB-OIDC"];

/// Every option that is known, with the spelling of the specification.
pub const KNOWN: &[(&str, Treatment)] = &[
    ("appName", Used(Text(128))),
    ("authMechanism", Vital(OneOf(MECHANISMS))),
    ("authMechanismProperties", Vital(ANY_TEXT)),
    ("authSource", Vital(ANY_TEXT)),
    ("connectTimeoutMS", Used(MILLISECONDS)),
    ("directConnection", Used(Switch)),
    ("enableOverloadRetargeting", Used(Switch)),
    ("heartbeatFrequencyMS", Used(Number(500..=u32::MAX as u64))),
    ("loadBalanced", Used(Switch)),
    ("localThresholdMS", Used(MILLISECONDS)),
    ("maxAdaptiveRetries", Used(MILLISECONDS)),
    ("maxConnecting", Used(Number(1..=u32::MAX as u64))),
    ("maxIdleTimeMS", Used(MILLISECONDS)),
    ("maxPoolSize", Used(Number(1..=u32::MAX as u64))),
    ("maxStalenessSeconds", Used(Number(90..=i32::MAX as u64))),
    ("minPoolSize", Used(MILLISECONDS)),
    ("readConcernLevel", Used(ANY_TEXT)),
    (
        "readPreference",
        Vital(OneOf(&[
            "primary",
            "primaryPreferred",
            "secondary",
            "secondaryPreferred",
            "nearest",
        ])),
    ),
    ("readPreferenceTags", Used(Tags)),
    ("replicaSet", Vital(ANY_TEXT)),
    ("retryReads", Used(Switch)),
    ("serverMonitoringMode", Used(OneOf(&["auto", "stream", "poll"]))),
    ("serverSelectionTimeoutMS", Used(Number(1..=u32::MAX as u64))),
    ("srvMaxHosts", Used(Number(0..=u32::MAX as u64))),
    ("srvServiceName", Vital(Text(62))),
    ("ssl", Vital(Switch)),
    ("tls", Vital(Switch)),
    ("tlsAllowInvalidCertificates", Vital(Switch)),
    ("tlsAllowInvalidHostnames", Vital(Switch)),
    ("tlsCAFile", Vital(ANY_TEXT)),
    ("tlsCertificateKeyFile", Vital(ANY_TEXT)),
    ("tlsCertificateKeyFilePassword", Vital(ANY_TEXT)),
    ("tlsInsecure", Vital(Switch)),
    // The exporter only reads: what says how to write does neither good nor harm, and stands in the URI that
    // MongoDB Atlas shows to everybody.
    ("journal", Used(Switch)),
    ("retryWrites", Used(Switch)),
    ("w", Used(ANY_TEXT)),
    ("wTimeoutMS", Used(MILLISECONDS)),
    ("adaptiveRetries", Ignored("the driver does not know it")),
    ("compressors", Ignored(UNCOMPRESSED)),
    ("connect", Ignored("directConnection has taken its place")),
    ("datetime_conversion", Ignored(OF_PYTHON)),
    ("document_class", Ignored(OF_PYTHON)),
    ("driver", Ignored(OF_PYTHON)),
    ("fsync", Ignored(NOT_WRITTEN)),
    ("j", Ignored(NOT_WRITTEN)),
    ("safe", Ignored(NOT_WRITTEN)),
    ("server_api", Ignored(OF_PYTHON)),
    ("serverSelectionTryOnce", Ignored("the driver always tries again")),
    ("slaveOk", Ignored("readPreference has taken its place")),
    ("socketTimeoutMS", Ignored(AT_INTERVALS)),
    ("timeoutMS", Ignored(AT_INTERVALS)),
    ("tlsDisableCertificateRevocationCheck", Ignored(NO_REVOCATION)),
    ("tlsDisableOCSPEndpointCheck", Ignored(NO_REVOCATION)),
    ("tz_aware", Ignored(OF_PYTHON)),
    ("tzinfo", Ignored(OF_PYTHON)),
    ("type_registry", Ignored(OF_PYTHON)),
    ("unicode_decode_error_handler", Ignored(OF_PYTHON)),
    ("uuidRepresentation", Ignored("no UUID is read")),
    ("waitQueueMultiple", Ignored("the driver does not know it")),
    ("waitQueueTimeoutMS", Ignored(AT_INTERVALS)),
    ("wtimeout", Ignored(NOT_WRITTEN)),
    ("zlibCompressionLevel", Ignored(UNCOMPRESSED)),
    ("gssapiServiceName", Refused("Kerberos is not supported")),
    ("proxyHost", Refused(NO_PROXY)),
    ("proxyPassword", Refused(NO_PROXY)),
    ("proxyPort", Refused(NO_PROXY)),
    ("proxyUsername", Refused(NO_PROXY)),
    ("srvAllowedHostsSuffix", Refused("the driver takes only hosts below the domain of the URI")),
    ("ssl_ca_certs", Refused("it is called tlsCAFile now")),
    ("ssl_cert_reqs", Refused("it is called tlsAllowInvalidCertificates now")),
    ("ssl_certfile", Refused("it is called tlsCertificateKeyFile now")),
    ("ssl_keyfile", Refused("key and certificate stand in tlsCertificateKeyFile now")),
    ("tlsCRLFile", Refused("lists of revoked certificates are not read")),
];

/// An option by its name, in capitals or not.
pub fn known(name: &str) -> Option<&'static (&'static str, Treatment)> {
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Why an option that is not known is left out; `None` if that could do harm.
pub fn unknown(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let vital = ["tls", "ssl", "auth", "proxy"].iter().any(|start| name.starts_with(start));
    (!vital).then_some("there is no such option")
}

/// Why a way to log in is not to be had.
pub fn missing_mechanism(name: &str) -> &'static str {
    match name.to_ascii_uppercase().as_str() {
        "MONGODB-AWS" => ", not MONGODB-AWS: AWS's login is not built in",
        "GSSAPI" => ", not GSSAPI: Kerberos is not built in",
        "MONGODB-CR" => ", not MONGODB-CR: no MongoDB has had it since 4.0",
        _ => "",
    }
}

impl Form {
    /// The value as the driver takes it; `None` if it is of another form.
    pub fn accept(&self, value: &str) -> Option<String> {
        match self {
            Text(longest) => {
                (!value.is_empty() && value.len() <= *longest).then(|| value.to_owned())
            }
            Switch => ["true", "false"].contains(&value).then(|| value.to_owned()),
            Number(range) => {
                let number = value.parse().ok().filter(|number| range.contains(number));
                number.map(|number: u64| number.to_string())
            }
            OneOf(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(value));
                word.map(|word| (*word).to_owned())
            }
            Tags => {
                let is_tag = |tag: &str| tag.split(':').count() == 2;
                (value.is_empty() || value.split(',').all(is_tag)).then(|| value.to_owned())
            }
        }
    }

    /// What a value should have been.
    pub fn expected(&self) -> String {
        match self {
            Text(usize::MAX) => "text that is not empty".to_owned(),
            Text(longest) => format!("text of at most {longest} bytes that is not empty"),
            Switch => "true or false".to_owned(),
            Number(range) if *range.end() == u64::from(u32::MAX) => {
                format!("a number from {}", range.start())
            }
            Number(range) => format!("a number from {} to {}", range.start(), range.end()),
            OneOf([rest @ .., last]) => format!("{} or {last}", rest.join(", ")),
            OneOf([]) => "nothing".to_owned(),
            Tags => "key:value,key:value".to_owned(),
        }
    }
}
