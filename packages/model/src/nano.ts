/** Where the nano model's config.json and preprocessor_config.json are. */

export { nanoDirectory } from '#files'
