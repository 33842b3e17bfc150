// Does not compile: `scripts/check` compares what the compiler says with the comments.

import Martlet

// What PyTorch's users type from habit.
func names(_ x: Tensor, _ model: Linear, _ optimizer: SGD) throws {
  // expected-error@+1 {{'T' is unavailable: x.transposed() exchanges the last two axes}}
  _ = x.T
  // expected-error@+1 {{'mT' is unavailable: x.transposed() exchanges the last two axes}}
  _ = x.mT
  // expected-error@+1 {{'ndim' has been renamed to 'rank'}}
  _ = x.ndim
  // expected-error@+1 {{'dim()' has been renamed to 'rank'}}
  _ = x.dim()
  // expected-error@+1 {{'size' is unavailable: x.shape has the sizes of all axes, x.shape[0] that of the first}}
  _ = x.size()
  // expected-error@+1 {{'size' is unavailable: x.shape has the sizes of all axes, x.shape[0] that of the first}}
  _ = x.size(0)
  // expected-error@+1 {{'numel()' has been renamed to 'count'}}
  _ = x.numel()
  // expected-error@+1 {{'requires_grad' is unavailable: x.requiringGradient() is a tensor whose gradient backward() finds}}
  _ = x.requires_grad
  // expected-error@+1 {{'requires_grad_' has been renamed to 'requiringGradient'}}
  _ = x.requires_grad_()
  // expected-error@+1 {{'detach()' has been renamed to 'detached'}}
  _ = x.detach()
  // expected-error@+1 {{'clone()' is unavailable: a tensor is a value: var y = x, and a change of y leaves x as it is}}
  _ = x.clone()
  // expected-error@+1 {{'numpy()' is unavailable: x.floats is an array of Float, x.array(as: Int.self) one of another type}}
  _ = x.numpy()
  // expected-error@+1 {{'tolist()' is unavailable: x.floats is an array of Float, x.array(as: Int.self) one of another type}}
  _ = x.tolist()
  // expected-error@+1 {{'cpu()' is unavailable: x.to(.cpu) copies a tensor to the CPU; tensors are there unless you moved them}}
  _ = x.cpu()
  // expected-error@+1 {{'cuda()' is unavailable: Martlet computes on the CPU}}
  _ = x.cuda()
  // expected-error@+1 {{'to' is unavailable: x.cast(to: .float32) changes the dtype, x.to(device) the device}}
  _ = x.to(.float64)
  // expected-error@+1 {{'float()' is unavailable: x.cast(to: .float32)}}
  _ = x.float()
  // expected-error@+1 {{'double()' is unavailable: x.cast(to: .float64)}}
  _ = x.double()
  // expected-error@+1 {{'long()' is unavailable: x.cast(to: .int64)}}
  _ = x.long()
  // expected-error@+1 {{'view' is unavailable: x.reshaped(2, -1)}}
  _ = x.view(2, -1)
  // expected-error@+1 {{'view' is unavailable: x.reshaped(2, -1)}}
  _ = x.view([2, -1])
  // expected-error@+1 {{'reshape' is unavailable: x.reshaped(2, -1)}}
  _ = x.reshape(2, -1)
  // expected-error@+1 {{'flatten' is unavailable: x.flattened(from: 1) keeps the axis of the examples}}
  _ = x.flatten()
  // expected-error@+1 {{'flatten' is unavailable: x.flattened(from: 1) keeps the axis of the examples}}
  _ = x.flatten(1)
  // expected-error@+1 {{'permute' is unavailable: x.permuted(0, 2, 1)}}
  _ = x.permute(0, 2, 1)
  // expected-error@+1 {{'transpose' is unavailable: x.transposed(0, 1)}}
  _ = x.transpose(0, 1)
  // expected-error@+1 {{'t()' is unavailable: x.transposed()}}
  _ = x.t()
  // expected-error@+1 {{'unsqueeze' is unavailable: x.expandedDims(axis: 0), or x[.newAxis]}}
  _ = x.unsqueeze(0)
  // expected-error@+1 {{'squeeze' is unavailable: x.squeezed(), or x.squeezed(axis: 0)}}
  _ = x.squeeze()
  // expected-error@+1 {{'squeeze' is unavailable: x.squeezed(), or x.squeezed(axis: 0)}}
  _ = x.squeeze(0)
  // expected-error@+1 {{'expand' is unavailable: x.expanded(to: [2, 3])}}
  _ = x.expand(2, 3)
  // expected-error@+1 {{'argmax' is unavailable: x.argMax(axis: 1)}}
  _ = x.argmax()
  // expected-error@+1 {{'argmax' is unavailable: x.argMax(axis: 1)}}
  _ = x.argmax(1)
  // expected-error@+1 {{'var' has been renamed to 'variance'}}
  _ = x.var()
  // expected-error@+1 {{'std' has been renamed to 'standardDeviation'}}
  _ = x.std()
  // expected-error@+1 {{'randn' is unavailable: Tensor.normal([2, 3])}}
  _ = Tensor.randn(2, 3)
  // expected-error@+1 {{'randn' is unavailable: Tensor.normal([2, 3])}}
  _ = Tensor.randn([2, 3])
  // expected-error@+1 {{'rand' is unavailable: Tensor.uniform([2, 3])}}
  _ = Tensor.rand(2, 3)
  // expected-error@+1 {{'arange' is unavailable: Tensor.range(to: 5), or Tensor.range(from: 1, to: 5, by: 2)}}
  _ = Tensor.arange(5)
  // expected-error@+1 {{'full' is unavailable: Tensor(repeating: 7, [2, 3])}}
  _ = Tensor.full([2, 3], 7)
  // expected-error@+1 {{'randn' is unavailable: Tensor.normal([2, 3])}}
  _ = randn(2, 3)
  // expected-error@+1 {{'rand' is unavailable: Tensor.uniform([2, 3])}}
  _ = rand(2, 3)
  // expected-error@+1 {{'arange' is unavailable: Tensor.range(to: 5), or Tensor.range(from: 1, to: 5, by: 2)}}
  _ = arange(0, 5)
  // expected-error@+1 {{'zeros' is unavailable: Tensor.zeros([2, 3])}}
  _ = zeros(2, 3)
  // expected-error@+1 {{'ones' is unavailable: Tensor.ones([2, 3])}}
  _ = ones(2, 3)
  // expected-error@+1 {{'cat(_:dim:)' is unavailable: concat(tensors, axis: 0)}}
  _ = cat([x, x])
  // expected-error@+1 {{'cat(_:dim:)' is unavailable: concat(tensors, axis: 0)}}
  _ = cat([x, x], dim: 1)
  // expected-error@+1 {{'noGrad' has been renamed to 'withoutGradient'}}
  _ = noGrad { x }
  // expected-error@+1 {{'no_grad' has been renamed to 'withoutGradient'}}
  _ = no_grad { x }
  // expected-error@+1 {{'manual_seed' is unavailable: Random.seed(1)}}
  manual_seed(1)
  // expected-error@+1 {{'zero_grad()' has been renamed to 'zeroGrad'}}
  optimizer.zero_grad()
  // expected-error@+1 {{'zero_grad()' has been renamed to 'zeroGrad'}}
  model.zero_grad()
  // expected-error@+1 {{'state_dict()' is unavailable: model.state has the tensors by PyTorch's names}}
  _ = model.state_dict()
  // expected-error@+1 {{'load_state_dict' is unavailable: try model.load(state)}}
  model.load_state_dict(model.state)
  // expected-error@+1 {{'init(_:_:stride:padding:dilation:ceilMode:)' is unavailable: write the size of the window with its name: MaxPool2d(kernelSize: 2)}}
  _ = MaxPool2d(2)
  // expected-error@+1 {{'init(_:_:stride:padding:dilation:ceilMode:)' is unavailable: write the size of the window with its name: MaxPool2d(kernelSize: 2)}}
  _ = MaxPool2d(2, 2)
  // expected-error@+1 {{'init(_:_:stride:padding:dilation:ceilMode:)' is unavailable: write the size of the window with its name: MaxPool2d(kernelSize: 2)}}
  _ = MaxPool2d(2, stride: 1)
  // expected-error@+1 {{'init(_:_:stride:padding:ceilMode:countsPadding:)' is unavailable: write the size of the window with its name: AveragePool2d(kernelSize: 2)}}
  _ = AveragePool2d(2)
  // expected-error@+1 {{'init(_:_:_:stride:padding:dilation:groups:bias:)' is unavailable: write the size of the kernel with its name: Conv2d(1, 8, kernelSize: 3)}}
  _ = Conv2d(1, 8, 3)
  // expected-error@+1 {{'init(_:_:_:stride:padding:dilation:groups:bias:)' is unavailable: write the size of the kernel with its name: Conv2d(1, 8, kernelSize: 3)}}
  _ = Conv2d(1, 8, 3, padding: 1)
  // expected-error@+1 {{'init(_:_:_:stride:padding:dilation:groups:bias:)' is unavailable: write the size of the kernel with its name: Conv1d(1, 8, kernelSize: 3)}}
  _ = Conv1d(1, 8, 3)
  // expected-error@+1 {{'init(_:_:_:stride:padding:outputPadding:groups:bias:dilation:)' is unavailable: write the size of the kernel with its name: ConvTranspose2d(8, 1, kernelSize: 3)}}
  _ = ConvTranspose2d(8, 1, 3, stride: 2)
  // expected-error@+1 {{'init(_:_:stride:padding:dilation:ceilMode:)' is unavailable: write the size of the window with its name: MaxPool1d(kernelSize: 2)}}
  _ = MaxPool1d(2)
  // expected-error@+1 {{'init(_:_:stride:padding:ceilMode:countsPadding:)' is unavailable: write the size of the window with its name: AveragePool3d(kernelSize: 2)}}
  _ = AveragePool3d(2)
  // expected-error@+1 {{'sum(dim:keepdim:)' is unavailable: write axis: x.sum(axis: 0), x.sum(axes: [0, 1])}}
  _ = x.sum(dim: 0)
  // expected-error@+1 {{'mean(dim:keepdim:)' is unavailable: write axis: x.mean(axis: 0), x.mean(axes: [0, 1])}}
  _ = x.mean(dim: 0, keepdim: true)
  // expected-error@+1 {{'softmax(_:dim:)' is unavailable: write axis: softmax(x, axis: 1)}}
  _ = softmax(x, dim: 1)
  // expected-error@+1 {{'sum(axis:keepDims:)' is unavailable: write axes: x.sum(axes: [0, 1])}}
  _ = x.sum(axis: [0, 1])
  // expected-error@+1 {{'sum(axis:keepdim:)' is unavailable: write keepDims: x.sum(axis: 0, keepDims: true)}}
  _ = x.sum(axis: 0, keepdim: true)
  // expected-error@+1 {{'mean(axis:keepDims:)' is unavailable: write axes: x.mean(axes: [0, 1])}}
  _ = x.mean(axis: [0, 1])
  // expected-error@+1 {{'mean(axis:keepdim:)' is unavailable: write keepDims: x.mean(axis: 0, keepDims: true)}}
  _ = x.mean(axis: 0, keepdim: true)
  // expected-error@+1 {{'max(axis:keepDims:)' is unavailable: write axes: x.max(axes: [0, 1])}}
  _ = x.max(axis: [0, 1])
  // expected-error@+1 {{'max(axis:keepdim:)' is unavailable: write keepDims: x.max(axis: 0, keepDims: true)}}
  _ = x.max(axis: 0, keepdim: true)
  // expected-error@+1 {{'min(axis:keepDims:)' is unavailable: write axes: x.min(axes: [0, 1])}}
  _ = x.min(axis: [0, 1])
  // expected-error@+1 {{'min(axis:keepdim:)' is unavailable: write keepDims: x.min(axis: 0, keepDims: true)}}
  _ = x.min(axis: 0, keepdim: true)
  // expected-error@+1 {{'sum(dim:keepdim:)' is unavailable: write axis: x.sum(axis: 0), x.sum(axes: [0, 1])}}
  _ = x.sum(dim: [0, 1])
  // expected-error@+1 {{'max(dim:keepdim:)' is unavailable: write axis: x.max(axis: 1), and x.argMax(axis: 1) for the places}}
  _ = x.max(dim: 0)
  // expected-error@+1 {{'min(dim:keepdim:)' is unavailable: write axis: x.min(axis: 1), and x.argMin(axis: 1) for the places}}
  _ = x.min(dim: 0)
  // expected-error@+1 {{'argmax(dim:keepdim:)' is unavailable: x.argMax(axis: 1)}}
  _ = x.argmax(dim: 1)
  // expected-error@+1 {{'argmin' is unavailable: x.argMin(axis: 1)}}
  _ = x.argmin()
  // expected-error@+1 {{'argmin(dim:keepdim:)' is unavailable: x.argMin(axis: 1)}}
  _ = x.argmin(dim: 1)
  // expected-error@+1 {{'argMax(dim:keepdim:)' is unavailable: write axis: x.argMax(axis: 1)}}
  _ = x.argMax(dim: 1)
  // expected-error@+1 {{'argMin(dim:keepdim:)' is unavailable: write axis: x.argMin(axis: 1)}}
  _ = x.argMin(dim: 1)
  // expected-error@+1 {{'cumsum(dim:)' is unavailable: write axis: x.cumsum(axis: 0)}}
  _ = x.cumsum(dim: 0)
  // expected-error@+1 {{'prod(dim:keepdim:)' is unavailable: write axis: x.prod(axis: 1)}}
  _ = x.prod(dim: 0)
  // expected-error@+1 {{'norm(_:dim:keepdim:)' is unavailable: x.norm(axis: 1), x.norm(1, axis: 1)}}
  _ = x.norm(dim: 1)
  // expected-error@+1 {{'var(dim:keepdim:)' is unavailable: x.variance(axis: 1)}}
  _ = x.var(dim: 1)
  // expected-error@+1 {{'std(dim:keepdim:)' is unavailable: x.standardDeviation(axis: 1)}}
  _ = x.std(dim: 1)
  // expected-error@+1 {{'sort(_:dim:descending:)' is unavailable: x.sorted(axis: 1)}}
  _ = x.sort(dim: 1)
  // expected-error@+1 {{'logsumexp(_:dim:keepdim:)' is unavailable: x.logSumExp(axis: 1)}}
  _ = x.logsumexp(dim: 1)
  // expected-error@+1 {{'half()' is unavailable: x.cast(to: .float16)}}
  _ = x.half()
  // expected-error@+1 {{'stack(_:dim:)' is unavailable: write axis: stack(tensors, axis: 1)}}
  _ = stack([x, x], dim: 1)
  // expected-error@+1 {{'concat(_:dim:)' is unavailable: write axis: concat(tensors, axis: 1)}}
  _ = concat([x, x], dim: 1)
  // expected-error@+1 {{'log_softmax(_:dim:)' is unavailable: logSoftmax(x, axis: 1)}}
  _ = log_softmax(x, dim: 1)
  // expected-error@+1 {{'one_hot(_:_:num_classes:)' is unavailable: oneHot(labels, classes: 10)}}
  _ = one_hot(x, 10)
  // expected-error@+1 {{'cross_entropy' has been renamed to 'crossEntropy'}}
  _ = cross_entropy(x, x)
  // expected-error@+1 {{'nll_loss' has been renamed to 'negativeLogLikelihood'}}
  _ = nll_loss(x, x)
  // expected-error@+1 {{'mse_loss' has been renamed to 'meanSquaredError'}}
  _ = mse_loss(x, x)
  // expected-error@+1 {{'half()' is unavailable: model.cast(to: .float16)}}
  _ = model.half()
  // expected-error@+1 {{'float()' is unavailable: model.cast(to: .float32)}}
  _ = model.float()
  // expected-error@+1 {{'double()' is unavailable: model.cast(to: .float64)}}
  _ = model.double()
  // expected-error@+1 {{'callAsFunction()' is unavailable: a property: model.parameters, without brackets}}
  _ = model.parameters()
  // expected-error@+1 {{'init(_:lr:betas:momentum:weightDecay:weight_decay:nesterov:)' is unavailable: write learningRate: SGD(model.parameters, learningRate: 0.1)}}
  _ = SGD(model.parameters, lr: 0.1)
  // expected-error@+1 {{'init(_:lr:betas:momentum:weightDecay:weight_decay:nesterov:)' is unavailable: write learningRate: SGD(model.parameters, learningRate: 0.1)}}
  _ = SGD(model.parameters, lr: 0.1, momentum: 0.9)
  // expected-error@+1 {{'init(_:lr:betas:momentum:weightDecay:weight_decay:nesterov:)' is unavailable: write learningRate: SGD(model.parameters, learningRate: 0.1)}}
  _ = AdamW(model.parameters, lr: 0.1, weightDecay: 0.1)
  // expected-error@+1 {{'clip_grad_norm_(_:_:max_norm:)' is unavailable: clipGradients(model.parameters, toNorm: 1)}}
  clip_grad_norm_(model.parameters, 1)
  // expected-error@+1 {{'GradScaler' has been renamed to 'LossScaler'}}
  _ = GradScaler()
  // expected-error@+1 {{'init(_:_:)' is unavailable: a layer a line: Sequential { Linear(3, 5); ReLU() }}}
  _ = Sequential(Linear(3, 5), ReLU())
  // expected-error@+1 {{'init(_:_:num_layers:bias:batch_first:dropout:bidirectional:)' is unavailable: write layers: LSTM(3, 5, layers: 2)}}
  _ = LSTM(3, 5, num_layers: 2)
  // expected-error@+1 {{'init(_:_:numLayers:bias:batchFirst:dropout:isBidirectional:)' is unavailable: write layers: LSTM(3, 5, layers: 2)}}
  _ = LSTM(3, 5, numLayers: 2, batchFirst: true)
  // expected-error@+1 {{'init(_:_:layers:bias:batchFirst:dropout:bidirectional:)' is unavailable: write isBidirectional: LSTM(3, 5, isBidirectional: true)}}
  _ = LSTM(3, 5, bidirectional: true)
  // expected-error@+1 {{'init(_:_:num_layers:bias:batch_first:dropout:bidirectional:)' is unavailable: write layers: GRU(3, 5, layers: 2)}}
  _ = GRU(3, 5, num_layers: 2)
  // expected-error@+1 {{'init(_:_:numLayers:bias:batchFirst:dropout:isBidirectional:)' is unavailable: write layers: GRU(3, 5, layers: 2)}}
  _ = GRU(3, 5, numLayers: 2, batchFirst: true)
  // expected-error@+1 {{'init(_:_:layers:bias:batchFirst:dropout:bidirectional:)' is unavailable: write isBidirectional: GRU(3, 5, isBidirectional: true)}}
  _ = GRU(3, 5, bidirectional: true)
  // expected-error@+1 {{'init(_:_:num_layers:bias:batch_first:dropout:bidirectional:)' is unavailable: write layers: RNN(3, 5, layers: 2)}}
  _ = RNN(3, 5, num_layers: 2)
  // expected-error@+1 {{'init(_:_:numLayers:bias:batchFirst:dropout:isBidirectional:)' is unavailable: write layers: RNN(3, 5, layers: 2)}}
  _ = RNN(3, 5, numLayers: 2, batchFirst: true)
  // expected-error@+1 {{'init(_:_:layers:bias:batchFirst:dropout:bidirectional:)' is unavailable: write isBidirectional: RNN(3, 5, isBidirectional: true)}}
  _ = RNN(3, 5, bidirectional: true)
}
