use super::*;

#[test]
fn only_values_are_the_hosts() {
    let vmx = VMX.replace("there", "d8100011e57ed0");
    assert_eq!(normal(&vmx), VMX);
    assert_eq!(normal(&SVM.replace("there", "10010021")), SVM);
    assert_eq!(normal(&NOTHING.replacen("control: #GP", "control: 0", 1)), NOTHING);
    for wrong in [
        NOTHING.replace("VMRUN: #UD", "VMRUN: done"),
        NOTHING.replace("VMX capabilities: #GP", "VMX capabilities: 1"),
        NOTHING.replace("features 0", "features 1"),
        NOTHING.replace("control: #GP", "control: 5"),
    ] {
        assert_ne!(normal(&wrong), NOTHING);
    }
    assert_ne!(normal(&SVM.replace("features there", "features 0")), SVM);
    assert_ne!(normal(&VMX.replace("capabilities: there", "capabilities: 0")), VMX);
}
