//! An XML element, with checks so that nothing in it is ignored silently.

use std::borrow::Cow;

use roxmltree::{Document, Node};

use super::error::{Problem, XmlError};

/// An element. libvirt's have no namespace: an element with a namespace is not found by its name.
#[derive(Clone, Copy)]
pub(super) struct Element<'a>(Node<'a, 'a>);

impl<'a> Element<'a> {
    /// The outermost element.
    pub(super) fn root(document: &'a Document<'a>) -> Self {
        Self(document.root_element())
    }

    pub(super) fn name(self) -> &'a str {
        self.0.tag_name().name()
    }

    /// The child elements.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        self.0.children().filter(Node::is_element).map(Self)
    }

    /// The child element with this name, if there is one.
    pub(super) fn child(self, name: &str) -> Result<Option<Self>, XmlError> {
        let mut found = self.children().filter(|child| child.name() == name && !child.is_foreign());
        let first = found.next();
        match found.next() {
            None => Ok(first),
            Some(second) => {
                Err(second
                    .wrong(Problem::Second { element: name.to_owned(), parent: self.name().to_owned() }))
            }
        }
    }

    /// Returns whether it has a namespace, and so belongs to another program.
    pub(super) fn is_foreign(self) -> bool {
        self.0.tag_name().namespace().is_some()
    }

    /// The text of an element that contains nothing else.
    pub(super) fn text(self) -> Result<String, XmlError> {
        match self.children().next() {
            Some(child) => Err(child.refuse("nvmm knows no such element; take it out")),
            None => Ok(self.texts().filter_map(|node| node.text()).collect()),
        }
    }

    /// Checks that it contains no text other than white space.
    pub(super) fn no_text(self) -> Result<(), XmlError> {
        for node in self.texts() {
            let text = node.text().map_or("", str::trim).to_owned();
            if !text.is_empty() {
                // Measured in the file's own text, in which line ends and references are longer than one character.
                let written = &self.0.document().input_text()[node.range()];
                let blanks = written.len() - written.trim_start().len();
                let start = node.range().start + blanks;
                return Err(self.at(start, Problem::Text { element: self.name().to_owned(), text }));
            }
        }
        Ok(())
    }

    /// Checks that it is empty.
    pub(super) fn empty(self) -> Result<(), XmlError> {
        self.text()?;
        self.no_text()
    }

    /// Checks that it has no attributes other than these.
    pub(super) fn allow(self, names: &[&str]) -> Result<(), XmlError> {
        for attribute in self.0.attributes() {
            if attribute.namespace().is_some() || !names.contains(&attribute.name()) {
                return Err(
                    self.refuse_attribute(attribute.name(), "nvmm knows no such attribute; take it out")
                );
            }
        }
        Ok(())
    }

    /// An attribute's value.
    pub(super) fn value(self, attribute: &str) -> Option<&'a str> {
        self.0.attribute(attribute)
    }

    /// The value of a required attribute.
    pub(super) fn required<T>(self, attribute: &'static str, read: Option<T>) -> Result<T, XmlError> {
        read.ok_or_else(|| self.wrong(Problem::Missing { attribute, element: self.name().to_owned() }))
    }

    /// An attribute whose value is one of a few words.
    pub(super) fn choice<T: Copy>(
        self,
        attribute: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, XmlError> {
        let Some(value) = self.value(attribute) else { return Ok(None) };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*choice));
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        Err(self.refuse_attribute(attribute, format!("give {}", any_of(&words))))
    }

    /// An attribute that is a number of at least `least`.
    pub(super) fn number(self, attribute: &str, least: u32) -> Result<Option<u32>, XmlError> {
        let Some(value) = self.value(attribute) else { return Ok(None) };
        match value.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(self.refuse_attribute(attribute, format!("give a number from {least} to {}", u32::MAX))),
        }
    }

    /// An error about the element itself.
    pub(super) fn refuse(self, why: &'static str) -> XmlError {
        let parent = self.0.parent_element().map_or("", |parent| parent.tag_name().name());
        self.wrong(Problem::Element { element: self.name().to_owned(), parent: parent.to_owned(), why })
    }

    /// An error about its text.
    pub(super) fn refuse_text(self, text: &str, why: &'static str) -> XmlError {
        self.wrong(Problem::Content { element: self.name().to_owned(), text: text.to_owned(), why })
    }

    /// An error about one of its attributes.
    pub(super) fn refuse_attribute(self, attribute: &str, why: impl Into<Cow<'static, str>>) -> XmlError {
        let problem = Problem::Attribute {
            attribute: attribute.to_owned(),
            value: self.value(attribute).unwrap_or_default().to_owned(),
            element: self.name().to_owned(),
            why: why.into(),
        };
        self.wrong_attribute(attribute, problem)
    }

    /// An error at the place of an attribute.
    pub(super) fn wrong_attribute(self, attribute: &str, problem: Problem) -> XmlError {
        let start = self.0.attribute_node(attribute).map_or(self.0.range().start, |node| node.range().start);
        self.at(start, problem)
    }

    /// An error at the beginning of the element.
    pub(super) fn wrong(self, problem: Problem) -> XmlError {
        self.at(self.0.range().start, problem)
    }

    fn at(self, offset: usize, problem: Problem) -> XmlError {
        let at = self.0.document().text_pos_at(offset);
        XmlError { line: at.row, column: at.col, problem: Box::new(problem) }
    }

    fn texts(self) -> impl Iterator<Item = Node<'a, 'a>> {
        self.0.children().filter(Node::is_text)
    }
}

/// Writes `a, b or c`.
fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
