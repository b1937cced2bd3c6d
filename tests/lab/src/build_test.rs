use super::*;

#[test]
fn the_executable_is_found_among_cargos_messages() {
    let messages = concat!(
        r#"{"reason":"compiler-artifact","executable":null}"#,
        "\n",
        r#"{"reason":"compiler-artifact","executable":"/t/nvmm"}"#,
        "\n",
        r#"{"reason":"build-finished","success":true}"#,
    );
    assert_eq!(executable(messages), Some("/t/nvmm".into()));
    assert_eq!(executable("not json"), None);
}
