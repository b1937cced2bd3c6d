use super::*;

#[test]
fn a_kind_is_known_by_its_name() {
    for kind in Virtualization::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert_eq!(kind.to_string().to_lowercase(), kind.name());
        // As it is in files.
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
    }
    for other in ["", "VMX", "none"] {
        assert_eq!(other.parse::<Virtualization>(), Err(UnknownVirtualization));
    }
}

#[test]
fn nesting_is_of_its_kind() {
    let vmx = Nesting::Vmx(vmx::SecondaryControls::empty());
    let svm = Nesting::Svm(svm::Features::empty());
    for (nesting, kind, name) in [
        (Nesting::None, None, "none"),
        (vmx, Some(Virtualization::Vmx), "vmx"),
        (svm, Some(Virtualization::Svm), "svm"),
    ] {
        assert_eq!((nesting.kind(), nesting.name()), (kind, name));
    }
}
