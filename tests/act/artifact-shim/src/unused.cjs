// Instead of a package that one of the actions never calls: a call would end with a TypeError.
module.exports = {}
