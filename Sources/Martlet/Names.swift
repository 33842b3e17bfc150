import MartletNN

// Some operations have the name of a layer. Whoever imports Martlet means the layer; these names stand before those of the
// modules that Martlet re-exports.

public typealias LogSoftmax = MartletNN.LogSoftmax
public typealias Tanh = MartletNN.Tanh
public typealias Sigmoid = MartletNN.Sigmoid
public typealias Softmax = MartletNN.Softmax
