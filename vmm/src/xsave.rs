//! A vCPU's x87 and SSE state, in the form of FXSAVE.
#![expect(unsafe_code, reason = "KVM writes as much as the guest's processor has, which Rust can't know")]

use kvm_bindings::{Xsave, kvm_xsave};
use kvm_ioctls::{Cap, Error, VcpuFd, VmFd};

/// The size of the legacy region, which has FXSAVE's form. SDM 1, "Legacy Region of an XSAVE Area".
pub(crate) const LEGACY: usize = 512;

/// The number of KVM's 32-bit words in the legacy region.
const LEGACY_WORDS: usize = LEGACY / 4;
/// The legacy region's bits in XSTATE_BV: x87 and SSE.
const X87_AND_SSE: u32 = 0b11;

/// Everything that KVM keeps of the processor's XSAVE state.
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
        // SAFETY: it has room for as many bytes as KVM says that it writes.
        unsafe { vcpu.get_xsave2(&mut state) }?;
        Ok(Self(state))
    }

    /// Sets the state of a vCPU in the machine that it was read from, or was made for.
    ///
    /// # Errors
    ///
    /// KVM refuses a value.
    pub(crate) fn give(&self, vcpu: &VcpuFd) -> Result<(), Error> {
        // SAFETY: it has as many bytes as KVM says that it reads: `of` and `from_bytes` ensure that.
        unsafe { vcpu.set_xsave2(&self.0) }
    }

    /// The bytes in memory, in XSAVE's form.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let region = &self.0.as_fam_struct_ref().xsave.region;
        region.iter().chain(self.0.as_slice()).flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The state for a vCPU of `vm`, from the bytes of another machine. Missing bytes at the end are zeros: the features of the guest's CPU
    /// decide which of them count.
    ///
    /// # Errors
    ///
    /// There is no memory for it, or there are more bytes than this machine's KVM takes (`EMSGSIZE`), or fewer than a header (`EINVAL`).
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
        // SAFETY: the length does not change.
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
        // SAFETY: the length does not change.
        let region = unsafe { &mut self.0.as_mut_fam_struct().xsave.region };
        let (words, _) = bytes.as_chunks();
        for (word, bytes) in region.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        // Otherwise the processor would take the initial value of a part that is not in use.
        region[LEGACY_WORDS] |= X87_AND_SSE;
    }
}
