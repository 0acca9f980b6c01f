// actions/upload-artifact v7, as far as it is used here: same search, same root rule, same outputs.
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { DefaultArtifactClient } from '@actions/artifact'
import * as core from '@actions/core'
import * as glob from '@actions/glob'
import { listArtifacts } from './list.mjs'

// The deepest folder that holds all search paths: paths inside the artifact are relative to it.
function commonFolder(folders) {
  let common = folders[0].split(path.sep)
  for (const folder of folders.slice(1)) {
    const parts = folder.split(path.sep)
    const differs = common.findIndex((part, i) => part !== parts[i])
    if (differs >= 0) common = common.slice(0, differs)
  }
  return common.join(path.sep) || path.sep
}

async function search(patterns, includeHidden) {
  const globber = await glob.create(patterns, {
    followSymbolicLinks: true,
    implicitDescendants: true,
    omitBrokenSymbolicLinks: true,
    excludeHiddenFiles: !includeHidden
  })
  const files = []
  for (const found of await globber.glob()) {
    if (!(await stat(found)).isDirectory()) files.push(found)
  }
  const from = globber.getSearchPaths()
  if (from.length > 1) return { files, root: commonFolder(from) }
  if (files.length === 1 && from[0] === files[0]) return { files, root: path.dirname(files[0]) }
  return { files, root: from[0] }
}

// act's server appends the blocks of an artifact in the order in which they arrive, and so mixes those that are sent side by side.
process.env.ACTIONS_ARTIFACT_UPLOAD_CONCURRENCY = '1'

async function run() {
  const name = core.getInput('name') || 'artifact'
  const patterns = core.getInput('path', { required: true })
  const whenNothing = core.getInput('if-no-files-found') || 'warn'
  const { files, root } = await search(patterns, core.getBooleanInput('include-hidden-files'))
  if (files.length === 0) {
    const text = `No files were found with the provided path: ${patterns}. No artifacts will be uploaded.`
    if (whenNothing === 'error') throw new Error(text)
    if (whenNothing === 'warn') core.warning(text)
    else core.info(text)
    return
  }
  const client = new DefaultArtifactClient()
  if ((await listArtifacts(client)).some((one) => one.name === name)) {
    // GitHub's server says this by itself; act's replaces silently.
    if (!core.getBooleanInput('overwrite')) throw new Error(`an artifact with this name already exists on the workflow run: ${name}`)
    await client.deleteArtifact(name)
  }
  const options = { compressionLevel: Number(core.getInput('compression-level') || 6) }
  const days = core.getInput('retention-days')
  if (days) options.retentionDays = Number(days)
  const { id, digest } = await client.uploadArtifact(name, files, root, options)
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = process.env
  core.setOutput('artifact-id', id)
  core.setOutput('artifact-digest', digest)
  core.setOutput('artifact-url', `${server}/${repository}/actions/runs/${run}/artifacts/${id}`)
}

run().catch((error) => core.setFailed(error.message))
