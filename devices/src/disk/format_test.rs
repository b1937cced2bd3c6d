use super::*;

#[test]
fn a_format_is_known_by_its_name() {
    for format in [Format::Raw, Format::Qcow2, Format::Vmdk] {
        assert_eq!(format.name().parse(), Ok(format));
        assert!(UnknownFormat.to_string().contains(format.name()), "{UnknownFormat}");
        assert_eq!(Format::recorded(format.name()), Some(format));
    }
    // QEMU's drivers for files are no image formats, but a header may name one of them as the format of its backing file.
    for driver in ["file", "host_device"] {
        assert_eq!(
            (driver.parse::<Format>(), Format::recorded(driver)),
            (Err(UnknownFormat), Some(Format::Raw))
        );
    }
    for other in ["", "RAW", "qcow", "vdi"] {
        assert_eq!((other.parse::<Format>(), Format::recorded(other)), (Err(UnknownFormat), None));
    }
}
