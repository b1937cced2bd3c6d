//! A vCPU's x87 and SSE state, in the form of FXSAVE.
#![expect(unsafe_code, reason = "KVM writes as much as the guest's processor has, which Rust can't know")]

use kvm_bindings::{Xsave, kvm_xsave};
use kvm_ioctls::{Cap, Error, VcpuFd, VmFd};

/// Bytes of the legacy region, which has FXSAVE's form. SDM 1, "Legacy Region of an XSAVE Area".
pub(crate) const LEGACY: usize = 512;

/// Words of KVM's that the legacy region takes.
const LEGACY_WORDS: usize = LEGACY / 4;
/// The parts of the legacy region, as XSTATE_BV has them: x87 and SSE.
const X87_AND_SSE: u32 = 0b11;

/// All that KVM keeps of the processor's XSAVE state.
pub(crate) struct State(Xsave);

impl State {
    /// Reads the state of a vCPU.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn of(vm: &VmFd, vcpu: &VcpuFd) -> Result<Self, Error> {
        let no_memory = |_| Error::new(libc::ENOMEM);
        let size = usize::try_from(vm.check_extension_int(Cap::Xsave2)).unwrap_or_default();
        // Before Linux 5.17, KVM has no other size.
        let Some(more) = size.checked_sub(size_of::<kvm_xsave>()) else {
            let header = vcpu.get_xsave()?.into();
            return Xsave::from_header(header).map(Self).map_err(no_memory);
        };
        let mut state = Xsave::new(more.div_ceil(size_of::<u32>())).map_err(no_memory)?;
        // SAFETY: it has room for as much as KVM says that it writes.
        unsafe { vcpu.get_xsave2(&mut state) }?;
        Ok(Self(state))
    }

    /// Gives the state to a vCPU of the machine that it was read from, or was made for.
    ///
    /// # Errors
    ///
    /// KVM refuses a value.
    pub(crate) fn give(&self, vcpu: &VcpuFd) -> Result<(), Error> {
        // SAFETY: it has as much as KVM says that it reads: `of` and `from_bytes` see to that.
        unsafe { vcpu.set_xsave2(&self.0) }
    }

    /// The bytes, as XSAVE has them in memory.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let region = &self.0.as_fam_struct_ref().xsave.region;
        region.iter().chain(self.0.as_slice()).flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The state for a vCPU of `vm`, of the bytes of another machine's. What is missing at the end is zeros: the features of the guest's
    /// CPU say which of them count.
    ///
    /// # Errors
    ///
    /// There is no memory for it, or it has more bytes than this machine's KVM takes (`EMSGSIZE`), or none of a header (`EINVAL`).
    pub(crate) fn from_bytes(vm: &VmFd, bytes: &[u8]) -> Result<Self, Error> {
        let header = size_of::<kvm_xsave>();
        let size = usize::try_from(vm.check_extension_int(Cap::Xsave2)).unwrap_or_default().max(header);
        if bytes.len() < header || !bytes.len().is_multiple_of(4) {
            return Err(Error::new(libc::EINVAL));
        }
        let more = (size - header).div_ceil(size_of::<u32>());
        let (words, _) = bytes.as_chunks();
        let (first, rest) = words.split_at(header / size_of::<u32>());
        if rest.iter().skip(more).any(|word| *word != [0; 4]) {
            return Err(Error::new(libc::EMSGSIZE));
        }
        let mut state = Xsave::new(more).map_err(|_| Error::new(libc::ENOMEM))?;
        // SAFETY: the length stays.
        let region = unsafe { &mut state.as_mut_fam_struct().xsave.region };
        for (word, bytes) in region.iter_mut().zip(first) {
            *word = u32::from_le_bytes(*bytes);
        }
        for (word, bytes) in state.as_mut_slice().iter_mut().zip(rest) {
            *word = u32::from_le_bytes(*bytes);
        }
        Ok(Self(state))
    }

    /// The legacy region.
    pub(crate) fn legacy(&self) -> [u8; LEGACY] {
        let words = &self.0.as_fam_struct_ref().xsave.region[..LEGACY_WORDS];
        let mut bytes = [0; LEGACY];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Changes the legacy region.
    pub(crate) fn set_legacy(&mut self, bytes: &[u8; LEGACY]) {
        // SAFETY: the length stays.
        let region = unsafe { &mut self.0.as_mut_fam_struct().xsave.region };
        let (words, _) = bytes.as_chunks();
        for (word, bytes) in region.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        // A part that is not in use would be taken for its initial value.
        region[LEGACY_WORDS] |= X87_AND_SSE;
    }
}
