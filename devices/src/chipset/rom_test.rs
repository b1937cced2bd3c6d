use super::*;

#[test]
fn writes_do_not_change_the_rom() {
    let rom = Rom::new(&[1, 2, 3, 4]).unwrap();
    assert_eq!(rom.write(0, &[9, 9]), Effect::None);
    let mut data = [0; 2];
    rom.read(1, &mut data);
    assert_eq!(data, [2, 3]);
    rom.read(u64::MAX, &mut data);
    assert_eq!(data, [0xff; 2]);
    let mut whole = vec![0; rom.as_volatile_slice().len()];
    rom.as_volatile_slice().read_slice(&mut whole, 0).unwrap();
    assert_eq!(whole, [1, 2, 3, 4]);
    assert!(Rom::new(&[]).is_err());
}
