//! The vault's program. Memory is wiped when it is freed: hyper's and rustls's buffers, which held cards, too.

use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = token_vault::config::parse(std::env::args_os())?;
    service::log::init("token-vault");
    token_vault::harden::harden();
    token_vault::admin::run(cli).await
}
