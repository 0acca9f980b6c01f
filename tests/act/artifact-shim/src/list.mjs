// All artifacts of this run. act's server drops the connection when the run has none yet; that is an empty list.
export async function listArtifacts(client) {
  try {
    return (await client.listArtifacts({ latest: true })).artifacts
  } catch (error) {
    if (error.message.includes('ECONNRESET')) return []
    throw error
  }
}
