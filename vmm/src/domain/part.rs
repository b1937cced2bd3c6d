//! An element of the file. At the end, everything that was not read is found, so that nothing is ignored silently.

use std::{borrow::Cow, cell::RefCell, collections::HashSet};

use devices::printable::ToPrintable;
use roxmltree::{Document, Node, NodeId};

use super::findings::{Findings, Severity};

/// The most characters of a text that a message repeats.
const MOST_SHOWN: usize = 80;
const UNKNOWN_ELEMENT: &str = "nvmm knows no such element; take it out";
const UNKNOWN_ATTRIBUTE: &str = "nvmm knows no such attribute; take it out";

/// The report about an element or attribute for which nvmm does nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Information: it changes nothing.
    Idle(&'static str),
    /// A warning: the guest runs without it.
    Missing(&'static str),
    /// An error: the guest would miss it.
    Refuse(&'static str),
}

/// Rules by name; an attribute's name has `@` in front.
pub(super) type Rules = [(&'static str, Rule)];

/// The elements and attributes that any device may have.
pub(super) const COMMON: &Rules = &[
    ("address", Rule::Idle("nvmm gives devices their places itself")),
    ("alias", Rule::Idle("it is libvirt's alone")),
    ("acpi", Rule::Idle("nvmm gives devices their places itself")),
];

/// A file while it is being read.
#[derive(Debug)]
pub(super) struct File<'d> {
    document: &'d Document<'d>,
    /// The offsets of the lines' first bytes.
    lines: Vec<usize>,
    seen: RefCell<HashSet<Place>>,
    findings: RefCell<Findings>,
}

/// An element, a text or an attribute of a file, which must be read or skipped explicitly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Element(NodeId),
    /// An element with everything in it.
    Whole(NodeId),
    Text(NodeId),
    /// An attribute, by its offset.
    Attribute(usize),
}

/// An element. libvirt's have no namespace: an element with a namespace is not found by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'f, 'd> {
    file: &'f File<'d>,
    node: Node<'d, 'd>,
}

impl<'d> File<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        let ends = document.input_text().bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = ends.map(|(at, _)| at + 1).collect();
        Self { document, lines, seen: RefCell::default(), findings: RefCell::default() }
    }

    /// The outermost element.
    pub(super) fn root(&self) -> Part<'_, 'd> {
        Part { file: self, node: self.document.root_element() }.seen()
    }

    /// Refuses what was not read, and returns all messages.
    pub(super) fn into_findings(self) -> Findings {
        // Without recursion: elements may be nested more deeply than the stack allows.
        let mut waiting = vec![self.document.root_element()];
        while let Some(node) = waiting.pop() {
            let part = Part { file: &self, node };
            if part.is_seen(Place::Whole(node.id())) {
                continue;
            }
            if !part.is_seen(Place::Element(node.id())) {
                part.find(Severity::Refused, UNKNOWN_ELEMENT);
                continue;
            }
            for attribute in node.attributes() {
                if !part.is_seen(Place::Attribute(attribute.range().start)) {
                    part.find_attribute(
                        Severity::Refused,
                        attribute.name(),
                        attribute.value(),
                        UNKNOWN_ATTRIBUTE,
                    );
                }
            }
            let text: String =
                node.children().filter_map(|child| child.is_text().then(|| child.text())?).collect();
            if !text.trim().is_empty() && !part.is_seen(Place::Text(node.id())) {
                let why = format!("it has the text '{}' in it; take it out", shown(text.trim()));
                part.find(Severity::Refused, why);
            }
            waiting.extend(node.children().filter(Node::is_element));
        }
        self.findings.into_inner()
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset) + 1
    }
}

impl<'f, 'd> Part<'f, 'd> {
    pub(super) fn name(self) -> &'d str {
        self.node.tag_name().name()
    }

    /// Returns whether it has a namespace, and so belongs to another program.
    pub(super) fn is_foreign(self) -> bool {
        self.namespace().is_some()
    }

    pub(super) fn namespace(self) -> Option<&'d str> {
        self.node.tag_name().namespace()
    }

    /// The line where it starts.
    pub(super) fn line(self) -> usize {
        self.file.line(self.node.range().start)
    }

    /// The element as messages show it, with the attribute that distinguishes it from others of its name.
    pub(super) fn label(self) -> String {
        let prefix = self.node.tag_name().namespace().and_then(|uri| self.node.lookup_prefix(uri));
        let prefix = prefix.map(|prefix| format!("{prefix}:")).unwrap_or_default();
        let kind =
            ["type", "name", "model"].into_iter().find_map(|key| Some((key, self.node.attribute(key)?)));
        let kind = kind.map(|(key, value)| format!(" {key}='{}'", shown(value))).unwrap_or_default();
        format!("<{prefix}{}{kind}>", shown(self.name()))
    }

    /// An attribute's value.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        let attribute = self.node.attribute_node(name)?;
        self.mark(Place::Attribute(attribute.range().start));
        Some(attribute.value())
    }

    /// An attribute that must be there.
    pub(super) fn needs(self, name: &'static str) -> Option<&'d str> {
        let value = self.attribute(name).filter(|value| !value.is_empty());
        if value.is_none() {
            self.refuse(format!("it has no {name}; add it"));
        }
        value
    }

    /// An attribute whose value is one of a few words.
    pub(super) fn choice<T: Copy>(self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.attribute(name)?;
        let found = choices.iter().find(|(word, _)| *word == value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.refuse_attribute(name, format!("give {}", any_of(&words)));
        }
        found.map(|(_, choice)| *choice)
    }

    /// An attribute that is `yes` or `no`, or `on` or `off`.
    pub(super) fn switch(self, name: &'static str) -> Option<bool> {
        self.choice(name, &[("yes", true), ("no", false), ("on", true), ("off", false)])
    }

    /// An attribute that is a number.
    pub(super) fn number(self, name: &'static str) -> Option<u64> {
        let number = self.attribute(name)?.trim().parse().ok();
        if number.is_none() {
            self.refuse_attribute(name, "give a whole number");
        }
        number
    }

    /// The only child element with this name.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        let mut all = self.all(name).into_iter();
        let first = all.next();
        if let Some(second) = all.next() {
            second.leave(Rule::Refuse("there can be only one; take the others out"));
        }
        first
    }

    /// The child elements with this name.
    pub(super) fn all(self, name: &str) -> Vec<Self> {
        self.children().filter(|child| child.name() == name && !child.is_foreign()).map(Self::seen).collect()
    }

    /// The child elements. This does not mark them as read.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        self.node.children().filter(Node::is_element).map(move |node| Self { file: self.file, node })
    }

    /// Marks the element as read, but not what is in it.
    pub(super) fn seen(self) -> Self {
        self.mark(Place::Element(self.node.id()));
        self
    }

    /// The text, without white space at both ends.
    pub(super) fn text(self) -> String {
        self.mark(Place::Text(self.node.id()));
        let texts = self.node.children().filter(Node::is_text).filter_map(|node| node.text());
        texts.collect::<String>().trim().to_owned()
    }

    /// Skips the element with everything in it.
    pub(super) fn skip(self) {
        self.mark(Place::Whole(self.node.id()));
    }

    /// Skips the element with everything in it, and reports why.
    pub(super) fn leave(self, rule: Rule) {
        self.skip();
        let (severity, why) = rule.parts();
        self.find(severity, why);
    }

    /// Applies rules to everything in it that is not read yet.
    pub(super) fn rest(self, rules: &[&Rules]) {
        let rule = |wanted: &str, is_attribute: bool| {
            let mut all = rules.iter().flat_map(|rules| rules.iter());
            let found = all.find(|(name, _)| match name.strip_prefix('@') {
                Some(name) => is_attribute && name == wanted,
                None => !is_attribute && *name == wanted,
            });
            found.map(|(_, rule)| *rule)
        };
        for child in self.children() {
            if let Some(rule) = rule(child.name(), false)
                && !child.is_foreign()
                && !child.is_seen(Place::Element(child.node.id()))
            {
                child.leave(rule);
            }
        }
        for attribute in self.node.attributes() {
            let place = Place::Attribute(attribute.range().start);
            if let Some(rule) = rule(attribute.name(), true)
                && attribute.namespace().is_none()
                && !self.is_seen(place)
            {
                self.mark(place);
                let (severity, why) = rule.parts();
                self.find_attribute(severity, attribute.name(), attribute.value(), why);
            }
        }
    }

    /// Reports that it changes nothing.
    pub(super) fn idle(self, why: impl Into<Cow<'static, str>>) {
        self.find(Severity::Idle, why);
    }

    /// Reports that the guest runs without it.
    pub(super) fn missing(self, why: impl Into<Cow<'static, str>>) {
        self.find(Severity::Missing, why);
    }

    /// Refuses it. Other things in it need no message of their own.
    pub(super) fn refuse(self, why: impl Into<Cow<'static, str>>) {
        self.skip();
        self.find(Severity::Refused, why);
    }

    /// Refuses the value of an attribute.
    pub(super) fn refuse_attribute(self, name: &str, why: impl Into<Cow<'static, str>>) {
        self.find_attribute(Severity::Refused, name, self.node.attribute(name).unwrap_or_default(), why);
    }

    /// Calls `read` for the element. If that refuses something in it, unread things in it need no message of their own.
    pub(super) fn by(self, read: impl FnOnce()) {
        let before = self.file.findings.borrow().refused();
        read();
        if self.file.findings.borrow().refused() > before {
            self.skip();
        }
    }

    fn find(self, severity: Severity, why: impl Into<Cow<'static, str>>) {
        self.file.findings.borrow_mut().add(severity, self.line(), self.label(), why.into());
    }

    fn find_attribute(self, severity: Severity, name: &str, value: &str, why: impl Into<Cow<'static, str>>) {
        let label = format!("{}='{}' of <{}>", shown(name), shown(value), shown(self.name()));
        self.file.findings.borrow_mut().add(severity, self.line(), label, why.into());
    }

    fn mark(self, place: Place) {
        self.file.seen.borrow_mut().insert(place);
    }

    fn is_seen(self, place: Place) -> bool {
        self.file.seen.borrow().contains(&place)
    }
}

impl Rule {
    fn parts(self) -> (Severity, &'static str) {
        match self {
            Self::Idle(why) => (Severity::Idle, why),
            Self::Missing(why) => (Severity::Missing, why),
            Self::Refuse(why) => (Severity::Refused, why),
        }
    }
}

/// Text of the file as messages show it.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((at, _)) => format!("{}...", text[..at].printable()),
        None => text.printable().to_string(),
    }
}

/// `a, b or c`.
fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
