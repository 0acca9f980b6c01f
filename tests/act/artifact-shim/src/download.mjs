// actions/download-artifact v8, as far as it is used here: by name into `path`, or all that match, one folder each where they are several.
import path from 'node:path'
import { DefaultArtifactClient } from '@actions/artifact'
import * as core from '@actions/core'
import minimatch from 'minimatch'
import { listArtifacts } from './list.mjs'

async function run() {
  const name = core.getInput('name')
  const target = path.resolve(process.env.GITHUB_WORKSPACE || '.', core.getInput('path') || '.')
  const client = new DefaultArtifactClient()
  const pattern = core.getInput('pattern') || '*'
  const chosen = (await listArtifacts(client)).filter((one) => (name ? one.name === name : minimatch(one.name, pattern)))
  if (name && chosen.length === 0) throw new Error(`Unable to download artifact(s): Artifact not found for name: ${name}`)
  const together = Boolean(name) || core.getBooleanInput('merge-multiple') || chosen.length === 1
  for (const artifact of chosen) {
    const into = together ? target : path.join(target, artifact.name)
    await client.downloadArtifact(artifact.id, { path: into }) // act keeps no digest to compare with; the client logs its own
  }
  core.info(`Total of ${chosen.length} artifact(s) downloaded`)
  core.setOutput('download-path', target)
}

run().catch((error) => core.setFailed(error.message))
