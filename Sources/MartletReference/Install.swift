import MartletCore

/// Registers the naive kernels and the delayed executor. Called once, at the first use of one of their devices.
///
/// Operations that state a decomposition have no naive kernel: there the decomposition runs, so that comparing devices
/// compares the kernels of the CPU with it.
@c(martlet_install_reference) public func installReference() {
  installElementwise()
  installComplex()
  installReductions()
  installShape()
  installIndexing()
  installLinear()
  installLinearAlgebra()
  installConvolution()
  installRows()
  installRandom()
  installEffects()
  DelayedExecutor.install()
}
