import { cluster } from './scenarios/cluster.ts'
import { testSlice } from './slice.ts'

testSlice(cluster, 2)
