use std::net::TcpListener;

use super::*;

/// A server that shows one white pixel next to one that stays black, and receives the typed keys.
fn serve(listener: &TcpListener) -> io::Result<Vec<u8>> {
    let (mut stream, _) = listener.accept()?;
    stream.write_all(b"RFB 003.008\n")?;
    read::<12>(&mut stream)?;
    stream.write_all(&[1, 1])?;
    read::<1>(&mut stream)?;
    stream.write_all(&[0; 4])?;
    read::<1>(&mut stream)?;
    stream.write_all(&[
        0, 1, 0, 1, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 1, b'm',
    ])?;
    read::<12>(&mut stream)?;
    read::<10>(&mut stream)?;
    let size = [0, 0, 0, 0, 0, 9, 0, 16, 0xff, 0xff, 0xff, 0x21];
    let pixel = [0, 1, 0, 2, 0, 1, 0, 1, 0, 0, 0, 0, 255, 255, 255, 0];
    stream.write_all(&[&[0, 0, 0, 2], &size[..], &pixel].concat())?;
    let mut typed = Vec::new();
    stream.read_to_end(&mut typed)?;
    Ok(typed)
}

#[test]
fn a_viewer_reads_and_types() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(&listener));
    let mut viewer = Viewer::connect(address, &mut || Ok(false)).unwrap();
    // In this font, an exclamation mark is a single pixel.
    let mut glyphs = [0; 256 * HEIGHT];
    glyphs[HEIGHT * usize::from(b'!') + 2] = 0b0100_0000;
    viewer.until(&Font::of_bits(STRIDE, &glyphs), |rows| rows == ["!"]).unwrap();
    viewer.types_unseen("a").unwrap();
    drop(viewer);
    let key = |pressed, [high, low]: [u8; 2]| [4, pressed, 0, 0, 0, 0, high, low];
    let typed = [key(1, [0, b'a']), key(0, [0, b'a']), key(1, [0xff, 0x0d]), key(0, [0xff, 0x0d])];
    assert_eq!(server.join().unwrap().unwrap(), typed.concat());
}

#[test]
fn no_server_is_waited_for_without_a_machine() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let error = Viewer::connect(address, &mut || Ok(false)).unwrap_err();
    assert_eq!(error.to_string(), format!("reaching {address}"));
}
