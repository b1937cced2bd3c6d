use super::*;

#[test]
fn only_values_are_the_hosts() {
    let vmx = VMX.replace("there", "d8100011e57ed0");
    assert_eq!(normal(&vmx), VMX);
    assert_eq!(normal(&SVM.replace("there", "10010021")), SVM);
    for locked in ["0", "1", "100001"] {
        assert_eq!(normal(&NOTHING.replace("control: #GP", &format!("control: {locked}"))), NOTHING);
    }
    assert_eq!(normal(&VMX.replace("control: 5", "control: 100005")), VMX);
    for wrong in [
        NOTHING.replace("VMRUN: #UD", "VMRUN: done"),
        NOTHING.replace("VMX capabilities: #GP", "VMX capabilities: 1"),
        NOTHING.replace("features 0", "features 1"),
        NOTHING.replace("control: #GP", "control: 5"),
        NOTHING.replace("control: #GP", "control: 100005"),
        NOTHING.replace("control: #GP", "control: #UD"),
    ] {
        assert_ne!(normal(&wrong), NOTHING);
    }
    assert_ne!(normal(&SVM.replace("features there", "features 0")), SVM);
    assert_ne!(normal(&VMX.replace("capabilities: there", "capabilities: 0")), VMX);
}
