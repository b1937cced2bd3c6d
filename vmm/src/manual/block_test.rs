use super::*;

#[test]
fn a_page_is_read_block_by_block() {
    let page = "\
# `Disks`

A paragraph
in two lines, see [Control](control.md), [gdb.md](gdb.md#x), [it](#here) and [others](https://a.b/c#d).

    nvmm --disk a

| key | meaning |
| --- | --- |
| `a=on\\|off` | **what** it is |

- an item
  that goes on
10. another
";
    let paragraph = |marker: &str, text: &str| Block::Paragraph(marker.to_owned(), text.to_owned());
    let expected = [
        Block::Heading("Disks".to_owned()),
        Block::Empty,
        paragraph(
            "",
            "A paragraph in two lines, see Control (nvmm help control), nvmm help gdb, it and others (https://a.b/c#d).",
        ),
        Block::Empty,
        Block::Code("    nvmm --disk a".to_owned()),
        Block::Empty,
        Block::Row(vec!["a=on|off".to_owned(), "what it is".to_owned()]),
        Block::Empty,
        paragraph("- ", "an item that goes on"),
        paragraph("10. ", "another"),
    ];
    assert_eq!(blocks(page), expected);
}

#[test]
fn code_is_kept_as_it_is() {
    assert_eq!(blocks("    a `b` **c** [d](e)"), [Block::Code("    a `b` **c** [d](e)".to_owned())]);
}
