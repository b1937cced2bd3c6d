use super::*;

#[test]
fn executables_are_found_among_cargos_messages() {
    let messages = concat!(
        r#"{"reason":"compiler-artifact","target":{"name":"vmm"},"executable":null}"#,
        "\n",
        r#"{"reason":"compiler-artifact","target":{"name":"nvmm"},"executable":"/t/nvmm"}"#,
        "\n",
        r#"{"reason":"build-finished","success":true}"#,
    );
    assert_eq!(executable(messages, "nvmm"), Some("/t/nvmm".into()));
    assert_eq!(executable(messages, "vmm"), None);
    assert_eq!(executable("not json", "nvmm"), None);
}
