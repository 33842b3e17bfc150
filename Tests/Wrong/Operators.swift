// Does not compile: `scripts/check` compares what the compiler says with the comments.

import Martlet

let x: Tensor = [1, 2]
let y: Tensor = [1, 3]

// expected-error@+1 {{'==' is unavailable: a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar}}
if x == y {}
// expected-error@+1 {{'==' is unavailable: a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar}}
let mask = x == 0
// expected-error@+1 {{'!=' is unavailable: a .!= b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar}}
print((x != y).sum())
// expected-error@+1 {{'<' is unavailable: a .< b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()}}
if x < y {}
// expected-error@+1 {{'<=' is unavailable: a .<= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()}}
if x <= y {}
// expected-error@+1 {{'>' is unavailable: a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()}}
if x > y {}
// expected-error@+1 {{'>=' is unavailable: a .>= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()}}
if x >= y {}
// expected-error@+1 {{'>' is unavailable: a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()}}
print(x[x > 0])
// expected-error@+1 {{'&&' is unavailable: a .& b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)}}
if x .> 0 && y .> 0 {}
// expected-error@+1 {{'||' is unavailable: a .| b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)}}
if x .> 0 || y .> 0 {}
// expected-error@+1 {{'!' is unavailable: .!a works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)}}
if !(x .> 0) {}
// expected-error@+1 {{'&&' is unavailable: a .& b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)}}
let chosen = select(x .> 0 && y .> 0, x, y)
