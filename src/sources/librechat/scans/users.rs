//! The users now: how they log in, how new they are, where their mail goes.

use std::collections::HashMap;
use std::mem::take;

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::RawDocument;
use rustc_hash::FxHashMap;

use crate::exposition::family_writer::{Column, FamilyWriter, some};
use crate::exposition::labels::{Class, Label, Labels, cut};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::groups::{ACCOUNT, EMAIL_DOMAIN};
use crate::sources::librechat::memory::Memory;
use crate::sources::librechat::scans::{Listed, Scan, text, time};
use crate::sources::librechat::settings::{NamedBy, Settings};

crate::catalogue! {
    USERS: Gauge "librechat_users" ["provider", "role"] (ACCOUNT) "Users now, by how they log in and by role.";
    NEW_USERS: Gauge "librechat_new_users" ["window"] (ACCOUNT) "Users now whose account was made in the last 1, 7 or 30 times 24 hours.";
    USERS_BY_EMAIL_DOMAIN: Gauge "librechat_users_by_email_domain" ["email_domain"] (EMAIL_DOMAIN) "Users now by the domain of their e-mail address.";
}

const PROVIDER: Field = Field::at("provider");
const ROLE: Field = Field::at("role");
const CREATED_AT: Field = Field::at("createdAt");
const EMAIL: Field = Field::at("email");

/// This scan. Names of people are e-mail addresses.
pub const SCAN: Listed = Listed::new("accounts", "users", ALL, |settings, memory| {
    Box::new(Users::new(settings, memory))
})
.also_for(|settings| settings.per_user == Some(NamedBy::Email));

const PROVIDERS: Class = Class::numbered(0);
const ROLES: Class = Class::numbered(1);
const DOMAINS: Class = Class::numbered(2);

/// How new a user is who is told to be new, in days.
const WINDOWS: [i64; 3] = [1, 7, 30];

/// Users by provider, role, age and mail domain.
pub struct Users {
    memory: Memory,
    with_domains: bool,
    /// Whether people are shown by their e-mail address.
    with_names: bool,
    now: DateTime<Utc>,
    labels: Labels,
    users: FxHashMap<(Label, Label), u64>,
    domains: FxHashMap<Label, u64>,
    new: [u64; WINDOWS.len()],
    names: HashMap<String, String>,
}

impl Users {
    /// A scan that reads e-mail addresses only where a setting needs them.
    fn new(settings: &Settings, memory: &Memory) -> Users {
        Users {
            memory: memory.clone(),
            with_domains: settings.groups.has(EMAIL_DOMAIN),
            with_names: settings.per_user == Some(NamedBy::Email),
            now: DateTime::default(),
            labels: Labels::default(),
            users: FxHashMap::default(),
            domains: FxHashMap::default(),
            new: [0; WINDOWS.len()],
            names: HashMap::new(),
        }
    }
}

impl Scan for Users {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![PROVIDER, ROLE, CREATED_AT];
        if self.with_domains || self.with_names {
            fields.push(EMAIL);
        }
        fields
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.labels = Labels::default();
        self.users.clear();
        self.domains.clear();
        self.new = [0; WINDOWS.len()];
        self.names.clear();
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let provider = text(document, &PROVIDER, malformed);
        let role = text(document, &ROLE, malformed);
        let labels = &mut self.labels;
        let row =
            (labels.label_or_unknown(PROVIDERS, provider), labels.label_or_unknown(ROLES, role));
        *self.users.entry(row).or_default() += 1;
        if let Some(created_at) = time(document, &CREATED_AT, malformed) {
            for (days, new) in WINDOWS.into_iter().zip(&mut self.new) {
                *new += u64::from(created_at >= self.now - TimeDelta::days(days));
            }
        }
        let email = text(document, &EMAIL, malformed);
        if self.with_domains {
            let domain = email.and_then(|email| email.rsplit_once('@'));
            let domain = domain.map(|(_, domain)| domain.to_lowercase());
            let domain = self.labels.label_or_unknown(DOMAINS, domain.as_deref());
            *self.domains.entry(domain).or_default() += 1;
        }
        if let Some(email) = email.filter(|_| self.with_names)
            && let Ok(id) = document.get_object_id("_id")
        {
            self.names.insert(id.to_hex(), cut(email).to_owned());
        }
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        let name = |label: &Label| self.labels.name(*label).to_owned();
        let mut users: Vec<_> = self
            .users
            .iter()
            .map(|((provider, role), count)| (vec![name(provider), name(role)], *count))
            .collect();
        users.sort();
        let column: [Column<u64>; 1] = [(&USERS, |count| some(*count))];
        writer.table(&column, users, |count| *count);
        let new = WINDOWS.into_iter().zip(self.new);
        let new = new.map(|(days, count)| (vec![format!("{days}d")], count as f64));
        writer.series(&NEW_USERS, new.collect());
        let mut domains: Vec<_> =
            self.domains.iter().map(|(domain, count)| (vec![name(domain)], *count)).collect();
        domains.sort();
        let column: [Column<u64>; 1] = [(&USERS_BY_EMAIL_DOMAIN, |count| some(*count))];
        writer.table(&column, domains, |count| *count);
        if self.with_names {
            self.memory.names().set(take(&mut self.names));
        }
    }
}
