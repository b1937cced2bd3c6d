//! The host's KVM, and its features.
#![expect(unsafe_code, reason = "a system call that no crate has")]

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arch::cpu::{
    cpuid::Cpuid,
    host::HostCpu,
    nesting::{Nesting, Virtualization},
};
use kvm_bindings::{KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_msr_entry};
use kvm_ioctls::{Cap, Kvm};

use crate::ioctls::{self, again};

/// Reasons why KVM can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The node does not exist.
    #[error(
        "{} is missing: load kvm_intel or kvm_amd (modprobe), switch VT-x or SVM on in the firmware, or give the device to the container",
        .0.display()
    )]
    Missing(PathBuf),
    /// This user may not open the node.
    #[error("{} can't be opened by this user: join its group (mostly usermod -aG kvm $USER, then log in again) or change its mode; nvmm check says more", .0.display())]
    NoAccess(PathBuf, #[source] io::Error),
    /// The node can't be opened for another reason.
    #[error("{} can't be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// The node is something other than KVM.
    #[error("{} is not KVM: it does not answer KVM_GET_API_VERSION", .0.display())]
    NotKvm(PathBuf),
    /// KVM's API has another version: KVM from before 2007, or a future one.
    #[error("KVM's API version is {0}, and nvmm needs {KVM_API_VERSION}")]
    Version(i32),
    /// KVM lacks a capability.
    #[error("KVM has no {0:?}, which nvmm needs: use Linux 4.20 or later on x86")]
    NoCapability(Cap),
    /// KVM does not report its features.
    #[error("{0}")]
    Ask(&'static str, #[source] kvm_ioctls::Error),
}

/// The capabilities without which no machine can be built.
pub(crate) const NEEDED: [Cap; 9] = [
    Cap::Irqchip,
    Cap::UserMemory,
    Cap::SetTssAddr,
    Cap::SetIdentityMapAddr,
    Cap::ExtCpuid,
    Cap::Pit2,
    Cap::Ioeventfd,
    Cap::SignalMsi,
    Cap::ImmediateExit,
];

/// An open KVM, with what it can give to guests.
#[derive(Debug)]
pub struct Host {
    /// The system file descriptor.
    pub kvm: Kvm,
    /// The CPU on which the guest's is based: the host's, or that of the host where a restored machine was first started.
    pub cpu: HostCpu,
    /// The host's own CPU, if `cpu` is another host's.
    pub own_cpu: Option<HostCpu>,
    /// The most vCPUs in a VM.
    pub max_vcpus: usize,
    /// The largest vCPU id, which is the APIC id, plus one.
    pub max_vcpu_id: usize,
}

impl Host {
    /// Opens KVM at `path`, and reads its features.
    ///
    /// # Errors
    ///
    /// The node doesn't exist, this user may not open it, it is not KVM, or it is too old.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let kvm = open(path)?;
        let cpu = cpu(&kvm, path)?;
        Ok(Self {
            max_vcpus: kvm.get_max_vcpus(),
            max_vcpu_id: kvm.get_max_vcpu_id(),
            cpu,
            own_cpu: None,
            kvm,
        })
    }

    /// Bases the guest's CPU on another host's.
    pub fn make_cpu_of(&mut self, other: &HostCpu) {
        self.own_cpu = Some(std::mem::replace(&mut self.cpu, other.clone()));
    }
}

/// An open KVM, to be asked at a time when nothing can be opened any more.
#[derive(Clone, Debug)]
pub struct OpenKvm {
    path: PathBuf,
    kvm: Arc<Result<Kvm, HostError>>,
}

impl OpenKvm {
    /// Opens KVM at `path`. If that fails, later calls return the error.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), kvm: Arc::new(open(path)) }
    }

    /// The CPU that it offers, or the reason in words why there is none.
    pub(crate) fn cpu(&self) -> Result<HostCpu, String> {
        match &*self.kvm {
            Ok(kvm) => cpu(kvm, &self.path).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads what KVM, which was opened at `path`, offers.
fn cpu(kvm: &Kvm, path: &Path) -> Result<HostCpu, HostError> {
    match kvm.get_api_version() {
        -1 => return Err(HostError::NotKvm(path.to_owned())),
        version if u32::try_from(version) != Ok(KVM_API_VERSION) => {
            return Err(HostError::Version(version));
        }
        _ => {}
    }
    if let Some(missing) = NEEDED.into_iter().find(|cap| !kvm.check_extension(*cap)) {
        return Err(HostError::NoCapability(missing));
    }
    let supported = again(|| kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES))
        .map_err(|error| HostError::Ask("KVM_GET_SUPPORTED_CPUID", error))?;
    let supported = Cpuid::from_entries(supported.as_slice());
    Ok(HostCpu {
        native: HostCpu::read_native(&supported),
        supported,
        feature_msrs: feature_msrs(kvm)?,
        tsc_deadline: kvm.check_extension(Cap::TscDeadlineTimer),
        nested_state: kvm.check_extension(Cap::NestedState),
        tsc_khz: None,
        mcg_cap: mcg_cap(kvm),
    })
}

impl Host {
    /// The indices of the MSRs that KVM lists as a guest's.
    ///
    /// # Errors
    ///
    /// KVM does not answer.
    pub(crate) fn listed_msrs(&self) -> Result<Vec<u32>, HostError> {
        let ask = |error| HostError::Ask("KVM_GET_MSR_INDEX_LIST", error);
        Ok(again(|| self.kvm.get_msr_index_list()).map_err(ask)?.as_slice().to_vec())
    }

    /// Reads the TSC's rate from a VM that is made for this. It is a separate call, as few guests need it.
    pub fn read_tsc_khz(&mut self) {
        let vcpu = again(|| self.kvm.create_vm()).and_then(|vm| again(|| vm.create_vcpu(0)));
        match vcpu.and_then(|vcpu| again(|| vcpu.get_tsc_khz())) {
            Ok(khz) => self.cpu.tsc_khz = Some(khz),
            Err(error) => log::info!("KVM does not tell the TSC's rate: {error}"),
        }
    }
}

/// Asks Linux to let guests use AMX's tiles: KVM leaves their state out of leaf 0DH until the process has the permission (Linux,
/// Documentation/arch/x86/xstate.rst). On a processor without them, or an older Linux, this fails, and KVM does not offer tiles.
fn ask_for_tiles() {
    const ARCH_REQ_XCOMP_GUEST_PERM: libc::c_long = 0x1025;
    const XTILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers, and only changes what this process's guests may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, XTILE_DATA) };
}

fn open(path: &Path) -> Result<Kvm, HostError> {
    let c_path =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| HostError::Missing(path.to_owned()))?;
    // Before KVM is asked for its features.
    ask_for_tiles();
    Kvm::new_with_path(c_path).map_err(|error| {
        let source = io::Error::from_raw_os_error(error.errno());
        match source.kind() {
            io::ErrorKind::NotFound => HostError::Missing(path.to_owned()),
            io::ErrorKind::PermissionDenied => HostError::NoAccess(path.to_owned(), source),
            _ => HostError::Open(path.to_owned(), source),
        }
    })
}

/// The values of KVM's feature MSRs. They include the VMX capability MSRs only if KVM can nest.
fn feature_msrs(kvm: &Kvm) -> Result<BTreeMap<u32, u64>, HostError> {
    let ask = |what| move |error| HostError::Ask(what, error);
    let list = again(|| kvm.get_msr_feature_index_list()).map_err(ask("KVM_GET_MSR_FEATURE_INDEX_LIST"))?;
    let entries: Vec<_> =
        list.as_slice().iter().map(|&index| kvm_msr_entry { index, ..Default::default() }).collect();
    let Ok(mut msrs) = Msrs::from_entries(&entries) else { return Ok(BTreeMap::new()) };
    // KVM stops at the first MSR that it can't read, and returns the number of those before.
    let read = again(|| kvm.get_msrs(&mut msrs)).map_err(ask("KVM_GET_MSRS of feature MSRs"))?;
    Ok(msrs.as_slice().iter().take(read).map(|msr| (msr.index, msr.data)).collect())
}

/// The largest IA32_MCG_CAP that KVM supports; 0 if KVM does not answer, which only means that guests have no machine checks.
fn mcg_cap(kvm: &Kvm) -> u64 {
    let bits = again(|| ioctls::supported_mcg_cap(kvm)).unwrap_or_else(|error| {
        log::info!("guests have no machine checks: KVM_X86_GET_MCE_CAP_SUPPORTED: {error}");
        0
    });
    let banks = u8::try_from(kvm.check_extension_int(Cap::Mce)).unwrap_or(0);
    bits & !u64::from(u8::MAX) | u64::from(banks)
}

/// Describes the guest's nesting, or if there is none, the host's KVM module: `none (kvm_intel.nested=N)`.
#[must_use]
pub fn describe_nesting(nesting: &Nesting) -> String {
    let parameter = Virtualization::ALL.into_iter().map(Virtualization::module).find_map(|module| {
        let value = fs::read_to_string(format!("/sys/module/{module}/parameters/nested")).ok()?;
        Some(format!("{module}.nested={}", value.trim()))
    });
    match (nesting, parameter) {
        (Nesting::None, Some(parameter)) => format!("none ({parameter})"),
        (Nesting::None, None) => "none (neither kvm_intel nor kvm_amd is loaded)".to_owned(),
        (nesting, _) => nesting.to_string(),
    }
}

#[cfg(test)]
#[path = "host_test.rs"]
mod tests;
