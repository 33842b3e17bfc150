/// The version of Martlet.
public let martletVersion = "0.1"
