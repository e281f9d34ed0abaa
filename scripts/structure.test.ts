/** The rules of the house, on the project's own files. One test file, so that every file is read and parsed once; each rule stands in its own module. */
import './structure/edges.ts'
import './structure/floors.ts'
import './structure/names.ts'
import './structure/options.ts'
import './structure/sizes.ts'
