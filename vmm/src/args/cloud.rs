//! The options for cloud images, which are passed to cloud-init in the guest.

use std::ffi::OsString;

use clap::Args;

use super::heading::CLOUD;

/// The options for cloud images.
#[expect(rustdoc::broken_intra_doc_links, reason = "these are texts for a terminal")]
#[derive(Clone, Debug, Default, Args)]
pub struct CloudArgs {
    /// cloud-init's files: user-data=FILE,...
    ///
    /// cloud-init's files for the guest, on a disk that nvmm makes in memory (NoCloud):
    /// user-data=FILE[,meta-data=FILE][,network-config=FILE]. A comma in FILE is written twice
    #[arg(long, help_heading = CLOUD, value_name = "FILES")]
    pub cloud_init: Option<OsString>,

    /// A public key that may log in; repeatable
    ///
    /// Public key that may log in as the user that the image has for that, by cloud-init: a file of ssh-keygen's, or one like
    /// authorized_keys; repeatable
    #[arg(long, help_heading = CLOUD, value_name = "FILE")]
    pub ssh_key: Vec<OsString>,

    /// The guest's host name
    ///
    /// The guest's host name, by cloud-init
    #[arg(long, help_heading = CLOUD, value_name = "NAME")]
    pub hostname: Option<String>,
}
