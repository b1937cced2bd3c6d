use proptest::prelude::*;

use super::*;

/// A descriptor as VMware Workstation writes it, with Windows line endings.
const CHILD: &str = "# Disk DescriptorFile\r\nversion=1\r\nencoding=\"windows-1252\"\r\nCID=FFFFFFFE\r\n\
    parentCID=1b2c3d4e\r\nisNativeSnapshot=\"no\"\r\ncreateType=\"twoGbMaxExtentSparse\"\r\n\
    parentFileNameHint=\"Base disk.vmdk\"\r\n# Extent description\r\n\
    RW 4192256 SPARSE \"Child disk-s001.vmdk\"\r\nRW 2097152 SPARSE \"Child disk-s002.vmdk\"\r\n\r\n\
    # The Disk Data Base \r\n#DDB\r\n\r\nddb.comment = \"a=b\"\r\nddb.longContentID = \"0\"\r\n";

fn refusal(text: impl AsRef<[u8]>) -> String {
    Descriptor::parse(text.as_ref()).unwrap_err().0.to_string()
}

/// The reason why a descriptor with `line` in addition to the required ones is refused.
fn line_refusal(line: &str) -> String {
    refusal(format!("# Disk DescriptorFile\nCID=1\ncreateType=\"custom\"\n{line}\n"))
}

#[test]
fn a_child_in_pieces() {
    let sparse =
        |sectors, name: &str| ExtentLine { sectors, kind: ExtentKind::Sparse { file_name: name.into() } };
    let expected = Descriptor {
        cid: 0xffff_fffe,
        create_type: "twoGbMaxExtentSparse".into(),
        parent: Some(Parent { cid: 0x1b2c_3d4e, file_name: "Base disk.vmdk".into() }),
        extents: vec![sparse(4_192_256, "Child disk-s001.vmdk"), sparse(2_097_152, "Child disk-s002.vmdk")],
    };
    assert_eq!(Descriptor::parse(CHILD.as_bytes()).unwrap(), expected);
    // Case matters only in names of files, and text after a zero byte is ignored.
    let shouted = CHILD.replace("CID", "cid").replace("SPARSE", "Sparse").replace("RW", "rw") + "\0garbage";
    assert_eq!(Descriptor::parse(shouted.as_bytes()).unwrap(), expected);
}

/// Values as qemu-img reads them.
#[test]
fn missing_and_empty_fields() {
    let parse = |text: &str| Descriptor::parse(text.as_bytes()).unwrap();
    let fields = "CID=12\nparentCID=ffffffff\ncreateType=\"custom\"\nRW 1 ZERO\n";
    let plain = parse(fields);
    assert_eq!((plain.cid, plain.extents.len()), (0x12, 1));
    for beginning in [
        "# Disk DescriptorFile\n",
        "#Disk DescriptorFile\n\n",
        "\n# Disk Descriptor File\r\nversion=1\r\n",
        "\u{feff}# Disk DescriptorFile\nversion=1\n",
        "version=3\nno field\nRX 1 ZERO\n",
    ] {
        assert_eq!(parse(&format!("{beginning}{fields}")), plain, "{beginning:?}");
    }
    // Without a CID, the parent's or none is used.
    assert_eq!(parse(&fields.replace("CID=12\n", "")).cid, 0xffff_ffff);
    let child = parse("parentCID=7\nparentFileNameHint=\"p\"\ncreateType=\"custom\"\nRW 1 ZERO\n");
    assert_eq!((child.cid, child.parent.unwrap().cid), (7, 7));
    assert_eq!(parse("createType=\"custom\"\nRW 1 ZERO").cid, 0xffff_ffff);
}

/// A name is a sequence of bytes, whose meaning depends on the encoding, wherever in the descriptor that is given.
#[test]
fn names_in_an_encoding() {
    let text = |encoding: &str| {
        let text = format!("encoding=\"{encoding}\"\ncreateType=\"custom\"\nRW 1 SPARSE \"b?se.vmdk\"\n");
        let mut text = text.into_bytes();
        let at = text.iter().position(|&byte| byte == b'?').unwrap();
        text[at] = 0xe4;
        text
    };
    let spellings = |encoding: &str| match &Descriptor::parse(&text(encoding)).unwrap().extents[0].kind {
        ExtentKind::Sparse { file_name } => file_name.spellings().cloned().collect::<Vec<_>>(),
        _ => vec![],
    };
    let raw = || b"b\xe4se.vmdk".into();
    assert_eq!(spellings("windows-1252"), [raw(), "bäse.vmdk".into()]);
    assert_eq!(spellings("windows-1251"), [raw(), "bдse.vmdk".into()]);
    for nothing in ["UTF-8", "klingon", ""] {
        assert_eq!(spellings(nothing), [raw()]);
    }
    assert_eq!(
        refusal("createType=\"custom\"\nRW 1 \x1b[31mX \"a\""),
        "has an extent of type \\x1b[31mX, which nvmm does not read"
    );
}

#[test]
fn extents_of_each_type() {
    let text = "# disk descriptorfile\ncid = 0\nparentCID=ffffffff\nparentFileNameHint=\"\"\ncreateType=vmfs\n\
                RW 1 FLAT \"a b\" 77\nRDONLY 2 VMFS \"c\"\n RW\t3  VMFS \"c\"  4 \nRW 5 ZERO";
    let flat = |name: &str, offset| ExtentKind::Flat { file_name: name.into(), offset };
    let kinds = [(1, flat("a b", 77)), (2, flat("c", 0)), (3, flat("c", 4)), (5, ExtentKind::Zero)];
    let expected = Descriptor {
        cid: 0,
        create_type: "vmfs".into(),
        parent: None,
        extents: kinds.map(|(sectors, kind)| ExtentLine { sectors, kind }).to_vec(),
    };
    assert_eq!(Descriptor::parse(text.as_bytes()).unwrap(), expected);
}

#[test]
fn refused_descriptors() {
    for text in ["", "CID=1", "# Disk DescriptorFile"] {
        assert_eq!(refusal(text), "has a bad createType: it is missing");
    }
    for kind in ["fullDevice", "vmfsSparse", "seSparse", "partitionedDevice", ""] {
        let text = format!("# Disk DescriptorFile\nCID=1\ncreateType=\"{kind}\"");
        assert_eq!(refusal(text), format!("has createType {kind:?}, which nvmm does not read"));
    }
    assert_eq!(line_refusal("parentCID=2"), "has a bad parentFileNameHint: it is missing");
    assert_eq!(
        line_refusal("parentFileNameHint=\"a\""),
        "has a bad parentCID: it names no parent, parentFileNameHint \"a\""
    );
    for id in ["", "x", "123456789", "-1"] {
        assert_eq!(
            line_refusal(&format!("CID={id}")),
            format!("has a bad CID: {id:?} is no hexadecimal number of 32 bits")
        );
    }
    assert_eq!(line_refusal("NOACCESS 1 ZERO"), "has an extent of access NOACCESS, which nvmm does not read");
    assert_eq!(
        line_refusal("RW 1 SESPARSE \"a\""),
        "has an extent of type SESPARSE, which nvmm does not read"
    );
    for (line, why) in [
        ("RW 0 ZERO", "its size is 0"),
        ("RW", "its size is no number of sectors"),
        ("RW -1 ZERO", "its size is no number of sectors"),
        ("RW 18446744073709551616 ZERO", "its size is no number of sectors"),
        ("RW 1 SPARSE", "it names no file"),
        ("RW 1 SPARSE a", "it names no file"),
        ("RW 1 SPARSE \"\"", "it names no file"),
        ("RW 1 SPARSE \"a", "it names no file"),
        ("RW 1 FLAT \"a\"", "it has no offset"),
        ("RW 1 FLAT \"a\" -1", "its offset is no number of sectors"),
        ("RW 1 SPARSE \"a\" 1", "there is more than belongs to it"),
        ("RW 1 ZERO \"a\"", "there is more than belongs to it"),
    ] {
        assert_eq!(line_refusal(line), format!("has a bad extent: {line:?}: {why}"));
    }
    let many = "RW 1 ZERO\n".repeat(MAX_EXTENTS + 1);
    assert_eq!(line_refusal(&many), "has a bad descriptor: more than 8192 extents");
}

proptest! {
    #[test]
    fn any_text_is_a_descriptor_or_an_error(text: Vec<u8>, line in "[\\PC\\n\" =]{0,60}", at in 0..CHILD.len()) {
        let _: Result<_, _> = Descriptor::parse(&text);
        let text = [&CHILD.as_bytes()[..at], line.as_bytes(), &CHILD.as_bytes()[at..]].concat();
        let _: Result<_, _> = Descriptor::parse(&text);
    }
}
